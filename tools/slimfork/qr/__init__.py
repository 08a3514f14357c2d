"""Pictures of QR codes, drawn with their boxes."""
