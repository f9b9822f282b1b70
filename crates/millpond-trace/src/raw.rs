//! Layout of the raw file that the recorder writes; see the module of the same name in the recorder.
