package chain_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/node/chain"
	"bettensor/node/pack"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/blake2b"
	"pgregory.net/rapid"
)

func vectors(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../testdata/chain", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func key(t testing.TB, text string) (k [32]byte) {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(b) != len(k) {
		t.Fatalf("key %q: %v", text, err)
	}
	return [32]byte(b)
}

func TestQuantiseVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			UIDs    []chain.UID
			Weights []float64
			Result  json.RawMessage
		}
	}
	vectors(t, "weight_quantisation.json", &file)
	if len(file.Vectors) < 11 {
		t.Fatalf("%d vectors", len(file.Vectors))
	}
	for _, v := range file.Vectors {
		got, err := chain.Quantise(v.UIDs, v.Weights)
		var want [2][]uint16
		if json.Unmarshal(v.Result, &want) != nil {
			if !errors.Is(err, chain.ErrWeightNegative) {
				t.Errorf("%v: error %v, want %s", v.Weights, err, v.Result)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", v.Weights, err)
			continue
		}
		uids := []uint16{}
		for _, u := range got.UIDs {
			uids = append(uids, uint16(u))
		}
		if !cmp.Equal(uids, want[0]) || !cmp.Equal(append([]uint16{}, got.Values...), want[1]) {
			t.Errorf("%v: got %v, want %v", v.Weights, got, want)
		}
	}
}

func TestQuantiseRoundsHalfToEven(t *testing.T) {
	got, err := chain.Quantise([]chain.UID{1, 2, 3}, []float64{65535, 2.5, 3.5})
	if want := []uint16{65535, 2, 4}; err != nil || !cmp.Equal(got.Values, want) {
		t.Errorf("got %v, %v; want %v", got.Values, err, want)
	}
}

func TestQuantiseRefuses(t *testing.T) {
	for _, c := range []struct {
		name    string
		uids    []chain.UID
		weights []float64
		want    error
	}{
		{"sizes differ", []chain.UID{1}, []float64{1, 2}, chain.ErrWeightSizes},
		{"uids descend", []chain.UID{2, 1}, []float64{1, 2}, chain.ErrWeightOrder},
		{"uid twice", []chain.UID{2, 2}, []float64{1, 2}, chain.ErrWeightOrder},
		{"negative", []chain.UID{1}, []float64{-1e-9}, chain.ErrWeightNegative},
		{"not a number", []chain.UID{1}, []float64{math.NaN()}, chain.ErrWeightInfinite},
		{"infinite", []chain.UID{1}, []float64{math.Inf(1)}, chain.ErrWeightInfinite},
		{"infinite as float32", []chain.UID{1}, []float64{1e300}, chain.ErrWeightInfinite},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := chain.Quantise(c.uids, c.weights); !errors.Is(err, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

// genWeights draws ascending weights with at least one at the top.
func genWeights(t *rapid.T, name string) chain.Weights {
	var w chain.Weights
	u := chain.UID(0)
	for range rapid.IntRange(0, 8).Draw(t, name+" n") {
		u += chain.UID(rapid.IntRange(1, 3).Draw(t, name+" gap"))
		w.UIDs = append(w.UIDs, u)
		w.Values = append(w.Values, uint16(rapid.IntRange(0, 65535).Draw(t, name+" value")))
	}
	return w
}

func TestTotalVariation(t *testing.T) {
	w := func(pairs ...uint16) (w chain.Weights) {
		for i := 0; i < len(pairs); i += 2 {
			w.UIDs = append(w.UIDs, chain.UID(pairs[i]))
			w.Values = append(w.Values, pairs[i+1])
		}
		return w
	}
	for _, c := range []struct {
		name string
		a, b chain.Weights
		want float64
	}{
		{"same shares, other scale", w(1, 100, 2, 100), w(1, 7, 2, 7), 0},
		{"nothing in common", w(1, 100), w(2, 100), 1},
		{"nothing against something", w(), w(2, 100), 1},
		{"nothing against nothing", w(), w(), 0},
		{"a quarter moved", w(1, 1, 2, 3), w(1, 2, 2, 2), 0.25},
		{"half to a newcomer", w(1, 1), w(1, 1, 2, 1), 0.5},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := chain.TotalVariation(c.a, c.b); math.Abs(got-c.want) > 1e-12 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	t.Run("as the obvious sum over a dense vector", rapid.MakeCheck(func(t *rapid.T) {
		a, b := genWeights(t, "a"), genWeights(t, "b")
		shares := func(w chain.Weights) (x [32]float64, some bool) {
			var sum float64
			for _, v := range w.Values {
				sum += float64(v)
			}
			for i, u := range w.UIDs {
				if sum > 0 {
					x[u] = float64(w.Values[i]) / sum
				}
			}
			return x, sum > 0
		}
		x, someA := shares(a)
		y, someB := shares(b)
		want := 0.0
		for i := range x {
			want += math.Abs(x[i]-y[i]) / 2
		}
		if someA != someB {
			want = 1
		}
		got := chain.TotalVariation(a, b)
		if math.Abs(got-want) > 1e-9 || got != chain.TotalVariation(b, a) {
			t.Errorf("%v %v: got %v, want %v", a, b, got, want)
		}
	}))
}

func TestSS58Vectors(t *testing.T) {
	var file struct {
		Valid []struct {
			PublicKey string       `json:"public_key"`
			Address   chain.Hotkey `json:"ss58_42"`
		}
		Invalid []struct {
			Address chain.Hotkey
			Valid   bool `json:"valid_format_42"`
		}
	}
	vectors(t, "ss58.json", &file)
	if len(file.Valid) == 0 || len(file.Invalid) == 0 {
		t.Fatal("no vectors")
	}
	for _, v := range file.Valid {
		pub := key(t, v.PublicKey)
		if got := chain.EncodeSS58(pub); got != v.Address {
			t.Errorf("%s encodes as %s, want %s", v.PublicKey, got, v.Address)
		}
		if got, err := v.Address.PublicKey(); err != nil || got != pub {
			t.Errorf("%s decodes as %x, %v; want %s", v.Address, got, err, v.PublicKey)
		}
	}
	for _, v := range file.Invalid {
		if _, err := v.Address.PublicKey(); (err == nil) != v.Valid {
			t.Errorf("%q: error %v, want valid %v", v.Address, err, v.Valid)
		}
	}
}

func TestSS58Refuses(t *testing.T) {
	good := chain.EncodeSS58([32]byte{1, 2, 3})
	polkadot := chain.Hotkey("15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5") // prefix 0
	kusama := chain.Hotkey("HNZata7iMYWmk5RvZRTiAsSDhV8366zq2YGb3tLH5Upf74F")    // prefix 2
	for _, c := range []struct {
		name string
		h    chain.Hotkey
		want error
	}{
		{"empty", "", chain.ErrAddressForm},
		{"prefix 0", polkadot, chain.ErrAddressNetwork},
		{"prefix 2", kusama, chain.ErrAddressNetwork},
		{"a leading one", "1" + good, chain.ErrAddressNetwork},
		{"not base58", good[:20] + "l" + good[21:], chain.ErrAddressForm},
		{"another last digit", good[:47] + "z", chain.ErrAddressChecksum},
		{"one digit short", good[:47], chain.ErrAddressForm},
		{"very long", chain.Hotkey(strings.Repeat("z", 1<<16)), chain.ErrAddressForm},
		{"too large for its bytes", chain.Hotkey(strings.Repeat("z", 49)), chain.ErrAddressForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := c.h.PublicKey(); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestSS58RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pub := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		if got, err := chain.EncodeSS58(pub).PublicKey(); err != nil || got != pub {
			t.Errorf("%x: got %x, %v", pub, got, err)
		}
	})
	for _, pub := range [][32]byte{{}, [32]byte(bytes.Repeat([]byte{255}, 32))} {
		if got, err := chain.EncodeSS58(pub).PublicKey(); err != nil || got != pub {
			t.Errorf("%x: got %x, %v", pub, got, err)
		}
	}
}

func TestPublicKeyDoesNotAllocate(t *testing.T) {
	h := chain.EncodeSS58([32]byte{9})
	if n := testing.AllocsPerRun(100, func() { _, _ = h.PublicKey() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestCommitHashVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			Hotkey     string
			Index      uint16 `json:"netuid_index"`
			UIDs       []chain.UID
			Values     []uint16
			Salt       []uint16
			VersionKey uint64 `json:"version_key"`
			Hash       string `json:"commit_hash"`
		}
	}
	vectors(t, "commit_hashes.json", &file)
	if len(file.Vectors) == 0 {
		t.Fatal("no vectors")
	}
	for i, v := range file.Vectors {
		h := chain.EncodeSS58(key(t, v.Hotkey))
		got, err := chain.CommitHash(h, v.Index, chain.Weights{UIDs: v.UIDs, Values: v.Values}, v.Salt, v.VersionKey)
		if err != nil || got != key(t, v.Hash) {
			t.Errorf("vector %d: got %x, %v; want %s", i, got, err, v.Hash)
		}
	}
	if _, err := chain.CommitHash("nobody", 1, chain.Weights{}, nil, 0); !errors.Is(err, chain.ErrAddressForm) {
		t.Errorf("no address: %v", err)
	}
	if got := chain.StorageIndex(30, 1); got != 4126 {
		t.Errorf("mechanism 1 of subnet 30 is at %d", got)
	}
}

// The published vectors are short; lengths take one byte up to 63, two up to
// 16383 and four from then on, with the mode in the lowest two bits.
func TestCommitHashLengths(t *testing.T) {
	h := chain.EncodeSS58([32]byte{1})
	for _, c := range []struct {
		n      int
		length []byte
	}{
		{63, []byte{0xfc}},
		{64, []byte{0x01, 0x01}},
		{8192, []byte{0x01, 0x80}},
		{16383, []byte{0xfd, 0xff}},
		{16384, []byte{0x02, 0x00, 0x01, 0x00}},
	} {
		preimage := append([]byte{1}, make([]byte, 31)...)
		preimage = append(preimage, 30, 0, 0, 0) // index, no uids, no values
		preimage = append(preimage, c.length...)
		preimage = append(preimage, make([]byte, 2*c.n+8)...)
		got, err := chain.CommitHash(h, 30, chain.Weights{}, make([]uint16, c.n), 0)
		if err != nil || got != blake2b.Sum256(preimage) {
			t.Errorf("a salt of %d words hashes wrongly: %x, %v", c.n, got, err)
		}
	}
}

func TestCodesAreTheChainsNames(t *testing.T) {
	b, err := os.ReadFile("../../testdata/chain/finney.errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	onChain := map[string]bool{"CallFiltered": true, "CallDisabled": true} // the first is System's
	for _, pool := range []chain.Code{chain.Stale, chain.Future, chain.BadProof, chain.AncientBirthBlock, chain.ExhaustsResources, chain.Payment, chain.InvalidRevealRound,
		chain.UnknownValidity, chain.TemporarilyBanned, chain.AlreadyImported, chain.TooLowPriority, chain.CycleDetected, chain.ImmediatelyDropped, chain.BadRequest} {
		onChain[string(pool)] = true // Substrate's, before any pallet is asked
	}
	for _, m := range regexp.MustCompile(`(?m)^\d+ (\w+):`).FindAllStringSubmatch(string(b), -1) {
		onChain[m[1]] = true
	}
	seen := map[chain.Code]bool{}
	for _, c := range chain.Codes() {
		if !onChain[string(c)] {
			t.Errorf("%s is no name of the chain", c)
		}
		if seen[c] {
			t.Errorf("%s is listed twice", c)
		}
		seen[c] = true
		if c.Class() == chain.ClassNone || c.Meaning() == "" || c.Advice() == "" || !c.Known() {
			t.Errorf("%s lacks a class, a meaning or an advice", c)
		}
	}
}

// notOurs are the chain's errors that no call of ours gets: nodes set, commit and
// reveal weights and announce axons.
var notOurs = strings.Fields(`
	RootNetworkDoesNotExist NonAssociatedColdKey NotEnoughStake NotEnoughStakeToWithdraw NotEnoughStakeToSetChildkeys
	NotEnoughBalanceToStake BalanceWithdrawalError ZeroBalanceAfterWithdrawn TooManyRegistrationsThisBlock
	InvalidWorkBlock InvalidDifficulty InvalidSeal HotKeyAlreadyDelegate
	NetworkTxRateLimitExceeded DelegateTxRateLimitExceeded HotKeySetTxRateLimitExceeded StakingRateLimitExceeded
	SubNetRegistrationDisabled TooManyRegistrationsThisInterval TransactorAccountShouldBeHotKey FaucetDisabled
	NotSubnetOwner RegistrationNotPermittedOnRootSubnet StakeTooLowForRoot AllNetworksInImmunity
	NotEnoughBalanceToPaySwapHotKey NotRootSubnet DelegateTakeTooLow DelegateTakeTooHigh
	LiquidAlphaDisabled AlphaHighTooLow AlphaLowOutOfRange
	ColdKeyAlreadyAssociated NotEnoughBalanceToPaySwapColdKey InvalidChild DuplicateChild ProportionOverflow TooManyChildren
	ColdkeySwapAnnouncementNotFound ColdkeySwapTooEarly ColdkeySwapReannouncedTooEarly AnnouncedColdkeyHashDoesNotMatch
	ColdkeySwapAlreadyDisputed ColdkeySwapClearTooEarly NewColdKeyIsHotkey
	InvalidChildkeyTake TxChildkeyTakeRateLimitExceeded InvalidIdentity CannotUnstakeLock
	AmountTooLow InsufficientLiquidity SlippageTooHigh TransferDisallowed ActivityCutoffTooLow
	FirstEmissionBlockNumberAlreadySet NeedWaitingMoreBlocksToStarCall NotEnoughAlphaOutToRecycle
	CannotBurnOrRecycleOnRootSubnet UnableToRecoverPublicKey InvalidRecoveredPublicKey
	HotKeySwapOnSubnetIntervalNotPassed ZeroMaxStakeAmount SameNetuid StakingOperationRateLimitExceeded
	InvalidLeaseBeneficiary LeaseCannotEndInThePast LeaseNetuidNotFound LeaseDoesNotExist LeaseHasNoEndBlock LeaseHasNotEnded
	Overflow BeneficiaryDoesNotOwnHotkey ExpectedBeneficiaryOrigin AdminActionProhibitedDuringWeightsWindow
	SymbolDoesNotExist SymbolAlreadyInUse RevealPeriodTooLarge RevealPeriodTooSmall InvalidValue
	SubnetLimitReached CannotAffordLockCost EvmKeyAssociateRateLimitExceeded SameAutoStakeHotkeyAlreadySet
	UidMapCouldNotBeCleared TrimmingWouldExceedMaxImmunePercentage ChildParentInconsistency
	InvalidNumRootClaim InvalidRootClaimThreshold InvalidSubnetNumber TooManyUIDsPerMechanism
	VotingPowerTrackingNotEnabled InvalidVotingPowerEmaAlpha PrecisionLoss AddStakeBurnRateLimitExceeded
`)

// TestEveryErrorOfTheChainHasARow: or is known to be nothing that a node gets.
func TestEveryErrorOfTheChainHasARow(t *testing.T) {
	b, err := os.ReadFile("../../testdata/chain/finney.errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\d+ (\w+):`).FindAllStringSubmatch(string(b), -1) {
		name := m[1]
		seen[name] = true
		if known, other := chain.Code(name).Known(), slices.Contains(notOurs, name); known == other {
			t.Errorf("%s: in the table %v, said to be none of ours %v", name, known, other)
		}
	}
	if len(seen) != 135 {
		t.Errorf("%d errors are read", len(seen))
	}
	for _, name := range notOurs {
		if !seen[name] {
			t.Errorf("%s is no error of the chain", name)
		}
	}
}

func TestClassOfCode(t *testing.T) {
	for _, c := range []struct {
		code chain.Code
		want chain.Class
	}{
		{chain.OK, chain.ClassNone},
		{chain.SettingWeightsTooFast, chain.Wait},
		{chain.CommittingWeightsTooFast, chain.Wait},
		{chain.NeuronNoValidatorPermit, chain.Wait},
		{chain.TooManyUnrevealedCommits, chain.Wait},
		{chain.IncorrectWeightVersionKey, chain.Upgrade},
		{chain.CommitRevealEnabled, chain.SwitchPath},
		{chain.CommitRevealDisabled, chain.SwitchPath},
		{chain.HotKeyNotRegisteredInSubNet, chain.Stop},
		{chain.UidVecContainInvalidOne, chain.Resync},
		{chain.UidsLengthExceedUidsInSubNet, chain.Resync},
		{chain.WeightVecLengthIsLow, chain.Bug},
		{chain.MaxWeightExceeded, chain.Bug},
		{chain.DuplicateUids, chain.Bug},
		{chain.InvalidPort, chain.Stop},
		{chain.MechanismDoesNotExist, chain.Stop},
		{chain.SubtokenDisabled, chain.Stop},
		{chain.TxRateLimitExceeded, chain.Wait},
		{chain.DisabledTemporarily, chain.Wait},
		{chain.Deprecated, chain.Upgrade},
		{chain.InsufficientBalance, chain.Stop},
		{chain.ColdkeySwapDisputed, chain.Stop},
		{chain.BadRequest, chain.Resync},
		{"SomethingNew", chain.Wait},
	} {
		if got := c.code.Class(); got != c.want {
			t.Errorf("%s is %s, want %s", c.code, got, c.want)
		}
	}
	if chain.Code("SomethingNew").Known() || !chain.OK.Known() || chain.OK.String() != "OK" {
		t.Error("unknown and OK are told apart wrongly")
	}
}

// genMetagraph draws a metagraph that a codec must carry unchanged.
func genMetagraph(t *rapid.T) *chain.Metagraph {
	u16 := func(name string) uint16 { return rapid.Uint16().Draw(t, name) }
	u64 := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
	m := &chain.Metagraph{
		Netuid: chain.Netuid(u16("netuid")),
		Block:  chain.Block(u64("block")),
		At:     time.Unix(0, rapid.Int64Range(1, 1<<62).Draw(t, "at")).UTC(),
		Owner:  chain.Hotkey(rapid.String().Draw(t, "owner")),
		Params: chain.Hyperparameters{
			Tempo: u16("tempo"), WeightsRateLimit: u64("rate"), WeightsVersionKey: u64("version"),
			MinAllowedWeights: u16("min"), MaxWeightsLimit: u16("limit"), ImmunityPeriod: u16("immunity"),
			ActivityCutoff: u16("cutoff"), MaxUIDs: u16("uids"), MaxValidators: u16("validators"),
			CommitReveal: rapid.Bool().Draw(t, "cr"), RevealPeriod: u64("reveal"), StakeThreshold: chain.Rao(u64("threshold")),
			RevealVersion: u16("reveal version"), LastEpoch: chain.Block(u64("last epoch")), EpochIndex: u64("epoch index"),
		},
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "n") {
		m.Neurons = append(m.Neurons, chain.Neuron{
			UID: chain.UID(i), Hotkey: chain.Hotkey(rapid.String().Draw(t, "hotkey")), Coldkey: chain.Coldkey(rapid.String().Draw(t, "coldkey")),
			Stake: chain.Rao(u64("stake")), Permit: rapid.Bool().Draw(t, "permit"), Active: rapid.Bool().Draw(t, "active"),
			RegisteredAt: chain.Block(u64("registered")), LastUpdate: chain.Block(u64("updated")),
			Axon:      chain.Axon{IP: rapid.String().Draw(t, "ip"), Port: u16("port")},
			Incentive: u16("incentive"), Dividends: u16("dividends"), VTrust: u16("vtrust"), Emission: chain.Rao(u64("emission")),
		})
	}
	return m
}

func genRequest(t *rapid.T) chain.Request {
	q := chain.Request{
		Op:         chain.Op(rapid.IntRange(0, int(chain.OpReadWeights)).Draw(t, "op")),
		Hotkey:     chain.Hotkey(rapid.String().Draw(t, "hotkey")),
		Weights:    genWeights(t, "weights"),
		VersionKey: rapid.Uint64().Draw(t, "version"),
		Commit:     [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "commit")),
		Axon:       chain.Axon{IP: rapid.String().Draw(t, "ip"), Port: rapid.Uint16().Draw(t, "port")},
	}
	if n := rapid.IntRange(0, 5).Draw(t, "salt"); n > 0 {
		q.Salt = rapid.SliceOfN(rapid.Uint16(), n, n).Draw(t, "salt words")
	}
	if len(q.Weights.UIDs) > 0 && rapid.Bool().Draw(t, "unequal sizes") {
		q.Weights.Values = q.Weights.Values[1:]
		if len(q.Weights.Values) == 0 {
			q.Weights.Values = nil
		}
	}
	return q
}

func TestRequestCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genRequest(t)
		b := chain.AppendRequest(nil, &want)
		r := pack.NewReader(b)
		got, err := chain.ReadRequest(r)
		if err != nil || r.Done() != nil {
			t.Fatalf("%v, %v", err, r.Done())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := chain.ReadRequest(pack.NewReader(b[:cut])); err == nil {
			t.Errorf("%d of %d bytes decode", cut, len(b))
		}
	})
}

func TestReplyCodec(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := chain.Reply{
			Code:     chain.Code(rapid.SampledFrom([]chain.Code{chain.OK, chain.DuplicateUids, "New"}).Draw(t, "code")),
			Head:     chain.Block(rapid.Uint64().Draw(t, "head")),
			HeadAt:   time.Unix(rapid.Int64Range(1, 1<<33).Draw(t, "at"), 0).UTC(),
			Included: chain.Block(rapid.Uint64().Draw(t, "included")),

			Weights:   genWeights(t, "weights"),
			Round:     rapid.Uint64().Draw(t, "round"),
			RevealAt:  chain.Block(rapid.Uint64().Draw(t, "reveal at")),
			Extrinsic: [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "extrinsic")),
			Foreign:   rapid.Uint64().Draw(t, "foreign"),
		}
		if rapid.Bool().Draw(t, "with metagraph") {
			want.Metagraph = genMetagraph(t)
		}
		b := chain.AppendReply(nil, &want)
		r := pack.NewReader(b)
		got, err := chain.ReadReply(r)
		if err != nil || r.Done() != nil {
			t.Fatalf("%v, %v", err, r.Done())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := chain.ReadReply(pack.NewReader(b[:cut])); err == nil {
			t.Errorf("%d of %d bytes decode", cut, len(b))
		}
	})
}

func TestCodecRefuses(t *testing.T) {
	metagraph := func(change func(*chain.Metagraph)) []byte {
		m := &chain.Metagraph{Neurons: []chain.Neuron{{UID: 0}, {UID: 1}}}
		change(m)
		return chain.AppendMetagraph(nil, m)
	}
	readMetagraph := func(b []byte) error { _, err := chain.ReadMetagraph(pack.NewReader(b)); return err }
	readRequest := func(b []byte) error { _, err := chain.ReadRequest(pack.NewReader(b)); return err }
	readWeights := func(b []byte) error { _, err := chain.ReadWeights(pack.NewReader(b)); return err }
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"a neuron out of its place", readMetagraph(metagraph(func(m *chain.Metagraph) { m.Neurons[1].UID = 7 })), chain.ErrRange},
		{"an unknown operation", readRequest(chain.AppendRequest(nil, &chain.Request{Op: 99})), chain.ErrRange},
		{"a uid over 65535", readWeights(append(pack.AppendUint([]byte{1}, 1<<16), 0)), chain.ErrRange},
		{"a value over 65535", readWeights(append(pack.AppendUint([]byte{0, 1}, 1<<16), 0)), chain.ErrRange},
		{"a list longer than the bytes", readWeights([]byte{200, 1}), pack.ErrShort},
		{"a commit of four bytes", readRequest([]byte{1, 0, 0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0}), chain.ErrRange},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !errors.Is(c.err, c.want) {
				t.Errorf("got %v, want %v", c.err, c.want)
			}
		})
	}
}

func FuzzPublicKey(f *testing.F) {
	f.Add("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY")
	f.Add("111111111111111111111111111111111HC1")
	f.Fuzz(func(t *testing.T, text string) {
		pub, err := chain.Hotkey(text).PublicKey()
		if err == nil && chain.EncodeSS58(pub) != chain.Hotkey(text) {
			t.Errorf("%q decodes but is not the address of its key", text)
		}
	})
}

func FuzzReadRequest(f *testing.F) {
	f.Add(chain.AppendRequest(nil, &chain.Request{Op: chain.OpSetWeights, Hotkey: "5F", Weights: chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{65535}}, Salt: []uint16{4}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := chain.ReadRequest(pack.NewReader(b))
		if err != nil {
			return
		}
		again, err := chain.ReadRequest(pack.NewReader(chain.AppendRequest(nil, &q)))
		if err != nil || !cmp.Equal(q, again) {
			t.Errorf("%+v comes back as %+v, %v", q, again, err)
		}
	})
}

func FuzzReadReply(f *testing.F) {
	f.Add(chain.AppendReply(nil, &chain.Reply{Code: chain.DuplicateUids, Head: 3, HeadAt: time.Unix(1, 0), Metagraph: &chain.Metagraph{Neurons: []chain.Neuron{{Hotkey: "5F"}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := chain.ReadReply(pack.NewReader(b))
		if err != nil {
			return
		}
		again, err := chain.ReadReply(pack.NewReader(chain.AppendReply(nil, &p)))
		if err != nil || !cmp.Equal(p, again) {
			t.Errorf("%+v comes back as %+v, %v", p, again, err)
		}
	})
}

func FuzzReadMetagraph(f *testing.F) {
	f.Add(chain.AppendMetagraph(nil, &chain.Metagraph{Netuid: 30, Neurons: []chain.Neuron{{Hotkey: "5F"}, {UID: 1}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := chain.ReadMetagraph(pack.NewReader(b))
		if err != nil {
			return
		}
		again, err := chain.ReadMetagraph(pack.NewReader(chain.AppendMetagraph(nil, m)))
		if err != nil || !cmp.Equal(m, again) {
			t.Errorf("%+v comes back as %+v, %v", m, again, err)
		}
	})
}

func BenchmarkPublicKey(b *testing.B) {
	h := chain.EncodeSS58([32]byte{9})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h.PublicKey()
	}
}

func BenchmarkQuantise(b *testing.B) {
	uids, weights := make([]chain.UID, 256), make([]float64, 256)
	for i := range uids {
		uids[i], weights[i] = chain.UID(i), float64(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := chain.Quantise(uids, weights); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMetagraph(b *testing.B) {
	m := &chain.Metagraph{Neurons: make([]chain.Neuron, 256)}
	for i := range m.Neurons {
		m.Neurons[i] = chain.Neuron{UID: chain.UID(i), Hotkey: chain.EncodeSS58([32]byte{byte(i)})}
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = chain.AppendMetagraph(buf[:0], m)
	}
	b.SetBytes(int64(len(buf)))
}

// TestReplySumCoversTheRecordedForm: what is read back has the sum of what was
// recorded, whether or not the maker kept a digest, and a change of any part
// gives another.
func TestReplySumCoversTheRecordedForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := chain.Reply{Code: chain.DuplicateUids, Head: 7, HeadAt: time.Unix(9, 0).UTC(), Included: 8, Metagraph: genMetagraph(t)}
		read, err := chain.ReadReply(pack.NewReader(chain.AppendReply(nil, &want)))
		if err != nil {
			t.Fatal(err)
		}
		want.Metagraph.Digest = want.Metagraph.Content()
		if read.Sum() != want.Sum() {
			t.Fatalf("sum %x as read, %x as recorded", read.Sum(), want.Sum())
		}
		for name, change := range map[string]func(*chain.Reply){ // each is judged alone: order cannot matter
			"code":     func(r *chain.Reply) { r.Code = chain.OK },
			"head":     func(r *chain.Reply) { r.Head++ },
			"head at":  func(r *chain.Reply) { r.HeadAt = r.HeadAt.Add(1) },
			"included": func(r *chain.Reply) { r.Included++ },
			"none":     func(r *chain.Reply) { r.Metagraph = nil },
			"round":    func(r *chain.Reply) { r.Round++ },
			"reveal":   func(r *chain.Reply) { r.RevealAt++ },
			"hash":     func(r *chain.Reply) { r.Extrinsic[7]++ },
			"foreign":  func(r *chain.Reply) { r.Foreign++ },
			"weights":  func(r *chain.Reply) { r.Weights = chain.Weights{UIDs: []chain.UID{1}, Values: []uint16{2}} },
			"owner":    func(r *chain.Reply) { r.Metagraph.Owner += "x" },
			"block":    func(r *chain.Reply) { r.Metagraph.Block++ },
			"at":       func(r *chain.Reply) { r.Metagraph.At = r.Metagraph.At.Add(1) },
			"params":   func(r *chain.Reply) { r.Metagraph.Params.Tempo++ },
			"neurons": func(r *chain.Reply) {
				r.Metagraph.Neurons = append(append([]chain.Neuron(nil), r.Metagraph.Neurons...), chain.Neuron{Hotkey: "new"})
			},
		} {
			other := want
			m := *want.Metagraph
			m.Digest = 0 // whoever changes a snapshot makes another one
			other.Metagraph = &m
			change(&other)
			if other.Sum() == want.Sum() {
				t.Errorf("%s does not reach the sum", name)
			}
		}
	})
}
