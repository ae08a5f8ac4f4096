"""What the model is told: one Markdown file a prompt, in English, Chinese and Japanese, and a small loader."""
