package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMemoryLimitIsTheLeastOfAllGroups(t *testing.T) {
	for _, tc := range []struct {
		name    string
		files   map[string]string
		want    uint64
		verdict grade
	}{
		{"nobody limits", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n"}, 0, good},
		{"the unit above", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "536870912\n"}, 512 << 20, warn},
		{"version one", map[string]string{"proc/self/cgroup": "7:cpu,memory:/x\n3:pids:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "134217728"}, 128 << 20, bad},
		{"a container's own root", map[string]string{"proc/self/cgroup": "0::/outside\n", "sys/fs/cgroup/memory.max": "2147483648\n"}, 2 << 30, good},
		{"version one without a limit", map[string]string{"proc/self/cgroup": "7:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, 0, good},
		{"nothing is known", nil, 0, good},
	} {
		t.Run(tc.name, func(t *testing.T) {
			x := examination{root: t.TempDir()}
			for name, text := range tc.files { // order cannot matter: they are files
				path := filepath.Join(x.root, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := x.memory().limit; got != tc.want {
				t.Errorf("limit %d, want %d", got, tc.want)
			}
			x.checkMemory(t.Context())
			if f := x.findings[0]; f.Verdict != tc.verdict || (f.Do == "") != (tc.verdict == good) {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestSupervisorsWatchdog(t *testing.T) {
	for _, tc := range []struct {
		socket, watchdog string
		verdict          grade
	}{
		{"", "", ""},
		{"/run/x", "", warn},
		{"/run/x", "60000000", good},
		{"/run/x", "1000000", warn},
		{"/run/x", "soon", bad},
		{"/run/x", "-5", bad},
	} {
		env := map[string]string{"NOTIFY_SOCKET": tc.socket, "WATCHDOG_USEC": tc.watchdog}
		x := examination{environ: func(name string) (string, bool) { v := env[name]; return v, v != "" }}
		x.checkSupervisor(t.Context())
		if got := append(x.findings, finding{})[0].Verdict; got != tc.verdict {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

// TestDoctorRepeatsNoKeyOfAnEndpoint: providers put them into the URL.
func TestDoctorRepeatsNoKeyOfAnEndpoint(t *testing.T) {
	r := &Resolved{role: forValidator}
	r.Endpoints = []string{"wss://chain.example/v2/s3cret-key"}
	x := examination{Resolved: r}
	if got := x.networkFlags(); strings.Contains(got, "s3cret") || !strings.Contains(got, "chain.example") {
		t.Error(got)
	}
}
