"""Takes for a training of one's own: recorded, kept in a folder, gone through again.

    from seqvision_edge.recording.takes import Takes

    takes = Takes(Path("takes"))
    with takes.begin("wave", "anna") as new:
        for frame in frames:
            new.write(frame.bgr, frame.time)
        take = new.keep()
    takes.counts()

`seqvision train takes` reads the folder.
"""
