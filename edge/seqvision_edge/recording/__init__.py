"""Takes for a training: recorded, stored in a folder, reviewed.

    from seqvision_edge.recording.take_folder import Takes

    takes = Takes(Path("takes"))
    with takes.begin("wave", "anna") as new:
        for frame in frames:
            new.write(frame.bgr, frame.time)
        take = new.keep()
    takes.counts()

`seqvision train takes` reads the folder.
"""
