"""From a question to finished runs: sweep file, plan, launch."""
