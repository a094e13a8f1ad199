"""imagebench: which choice makes an image classifier better, by how much, and how sure are we?"""

__version__ = "0.2.0"
