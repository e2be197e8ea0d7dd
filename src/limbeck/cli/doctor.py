HELP = ""


def main() -> None: ...
