//go:build !linux

package memory

// ReadProgramSparsely is for systems that say how much memory there is.
func ReadProgramSparsely() {}

// ForgetProgram does nothing here.
func ForgetProgram() {}

// SmallPages does nothing here.
func SmallPages() {}
