package fault

import (
	"errors"
	"strconv"
	"strings"
)

// Target is whom a fault hits, taken apart.
type Target struct {
	Validators, Miners bool   // which sort of nodes; both for `all`
	Name               string // the validator's or the group's name; "" for all of them
	Index              int    // the member of the group, from 0; -1 for all of them
}

// ErrTarget is text that is no target.
var ErrTarget = errors.New("expected all, validators, validators.NAME, miners, miners.GROUP or miners.GROUP.N")

// ParseTarget takes the text of a target apart. Whether the names exist is the
// scenario's to check.
func ParseTarget(text string) (Target, error) {
	sort, rest, named := strings.Cut(text, ".")
	t := Target{Index: -1}
	switch sort {
	case "all":
		if named {
			return Target{}, ErrTarget
		}
		return Target{Validators: true, Miners: true, Index: -1}, nil
	case "validators":
		t.Validators = true
	case "miners":
		t.Miners = true
	default:
		return Target{}, ErrTarget
	}
	if !named {
		return t, nil
	}
	name, index, counted := strings.Cut(rest, ".")
	t.Name = name
	if name == "" {
		return Target{}, ErrTarget
	}
	if counted {
		n, err := strconv.ParseUint(index, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != index {
			return Target{}, ErrTarget
		}
		t.Index = int(n)
	}
	return t, nil
}

// String is the text that ParseTarget takes apart into t.
func (t Target) String() string {
	s := "miners"
	switch {
	case t.Validators && t.Miners:
		return "all"
	case t.Validators:
		s = "validators"
	}
	if t.Name != "" {
		s += "." + t.Name
		if t.Index >= 0 {
			s += "." + strconv.Itoa(t.Index)
		}
	}
	return s
}

// Allows reports whether a kind that hits h may have the target t.
func (h Hits) Allows(t Target) bool {
	switch h {
	case Miners:
		return t.Miners && !t.Validators
	case Validators:
		return t.Validators && !t.Miners
	}
	return true
}

// String names the sort of nodes, as an error message would.
func (h Hits) String() string {
	switch h {
	case Miners:
		return "miners"
	case Validators:
		return "validators"
	}
	return "validators or miners"
}
