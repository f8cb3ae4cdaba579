// Package cgroup finds the control groups of this process.
package cgroup

import (
	"os"
	"path"
	"slices"
	"strings"
)

// Each calls f for each control group whose limits on a resource hold for this process: its own and those above it, the
// lowest first. controller is the resource's name in version 1, such as "cpu"; v2 tells f which files to look for. root is
// "/", or a folder with recorded proc and sys. Groups that the process cannot see, as in a container, are left out.
func Each(root, controller string, f func(folder string, v2 bool)) {
	groups, err := os.ReadFile(root + "proc/self/cgroup")
	if err != nil {
		return
	}
	for _, line := range strings.Split(strings.TrimSpace(string(groups)), "\n") {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 {
			continue
		}
		v2 := fields[0] == "0" && fields[1] == ""
		mount := root + "sys/fs/cgroup"
		switch {
		case v2:
		case slices.Contains(strings.Split(fields[1], ","), controller):
			mount = path.Join(mount, fields[1])
		default:
			continue
		}
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			f(path.Join(mount, group), v2)
			if group == "/" {
				break
			}
		}
	}
}
