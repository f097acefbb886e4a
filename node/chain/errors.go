package chain

// Code is the chain's refusal by its own name, or OK. It is text and not a
// number because the indexes move with every runtime: the live client takes
// the name from metadata, and a name this list does not know still survives a
// recording and reaches the operator.
type Code string

// OK is the zero Code: not refused.
const OK Code = ""

// Refusals of weights, commits and reveals.
const (
	SettingWeightsTooFast           Code = "SettingWeightsTooFast"
	CommittingWeightsTooFast        Code = "CommittingWeightsTooFast"
	NeuronNoValidatorPermit         Code = "NeuronNoValidatorPermit"
	NotEnoughStakeToSetWeights      Code = "NotEnoughStakeToSetWeights"
	IncorrectWeightVersionKey       Code = "IncorrectWeightVersionKey"
	CommitRevealEnabled             Code = "CommitRevealEnabled"
	CommitRevealDisabled            Code = "CommitRevealDisabled"
	IncorrectCommitRevealVersion    Code = "IncorrectCommitRevealVersion"
	HotKeyNotRegisteredInSubNet     Code = "HotKeyNotRegisteredInSubNet"
	UidVecContainInvalidOne         Code = "UidVecContainInvalidOne"
	UidsLengthExceedUidsInSubNet    Code = "UidsLengthExceedUidsInSubNet"
	WeightVecLengthIsLow            Code = "WeightVecLengthIsLow"
	WeightVecNotEqualSize           Code = "WeightVecNotEqualSize"
	MaxWeightExceeded               Code = "MaxWeightExceeded"
	DuplicateUids                   Code = "DuplicateUids"
	TooManyUnrevealedCommits        Code = "TooManyUnrevealedCommits"
	NoWeightsCommitFound            Code = "NoWeightsCommitFound"
	RevealTooEarly                  Code = "RevealTooEarly"
	ExpiredWeightCommit             Code = "ExpiredWeightCommit"
	InvalidRevealCommitHashNotMatch Code = "InvalidRevealCommitHashNotMatch"
)

// Refusals of an axon announcement.
const (
	HotKeyNotRegisteredInNetwork Code = "HotKeyNotRegisteredInNetwork"
	InvalidIpType                Code = "InvalidIpType"
	InvalidIpAddress             Code = "InvalidIpAddress"
	InvalidPort                  Code = "InvalidPort"
	ServingRateLimitExceeded     Code = "ServingRateLimitExceeded"
)

// Refusals of registrations and hotkey swaps. The simulated world asks for
// these, a node never does.
const (
	HotKeyAlreadyRegisteredInSubNet Code = "HotKeyAlreadyRegisteredInSubNet"
	NewHotKeyIsSameWithOld          Code = "NewHotKeyIsSameWithOld"
	NoNeuronIdAvailable             Code = "NoNeuronIdAvailable"
)

// Refusals of anything that names a subnet or a hotkey.
const (
	SubnetNotExists        Code = "SubnetNotExists"
	HotKeyAccountNotExists Code = "HotKeyAccountNotExists"
	InputLengthsUnequal    Code = "InputLengthsUnequal"
	ColdkeySwapAnnounced   Code = "ColdkeySwapAnnounced"
	ColdkeySwapDisputed    Code = "ColdkeySwapDisputed"
	InsufficientBalance    Code = "InsufficientBalance"
	MechanismDoesNotExist  Code = "MechanismDoesNotExist"
	SubtokenDisabled       Code = "SubtokenDisabled"
	TxRateLimitExceeded    Code = "TxRateLimitExceeded"
	DisabledTemporarily    Code = "DisabledTemporarily"
	Deprecated             Code = "Deprecated"
	RootWeights            Code = "CanNotSetRootNetworkWeights"
)

// Refusals by the pool, before any block: names of Substrate's transaction
// validity and of its pool's errors, which no pallet lists.
const (
	Stale              Code = "Stale"
	Future             Code = "Future"
	BadProof           Code = "BadProof"
	AncientBirthBlock  Code = "AncientBirthBlock"
	ExhaustsResources  Code = "ExhaustsResources"
	Payment            Code = "Payment"
	InvalidRevealRound Code = "InvalidRevealRound"
	UnknownValidity    Code = "UnknownTransactionValidity"
	TemporarilyBanned  Code = "TemporarilyBanned"
	AlreadyImported    Code = "AlreadyImported"
	TooLowPriority     Code = "TooLowPriority"
	CycleDetected      Code = "CycleDetected"
	ImmediatelyDropped Code = "ImmediatelyDropped"
	BadRequest         Code = "BadRequest"
)

// CallFiltered is the one refusal of the System pallet: the chain is in safe
// mode, or the call is switched off. CallDisabled is what an operation that
// this chain does not offer at all gets.
const (
	CallFiltered Code = "CallFiltered"
	CallDisabled Code = "CallDisabled"
)

// Class says what a node does about a refusal.
type Class uint8

const (
	// ClassNone: not a refusal.
	ClassNone Class = iota
	// Wait: the same request may pass later; nothing needs to be read again.
	Wait
	// Resync: what the node believed of the chain is out of date. Read the
	// metagraph and the hyperparameters again, rebuild the request, send it.
	Resync
	// Stop: sending again cannot help until a person has acted.
	Stop
	// Upgrade: the subnet wants a newer program.
	Upgrade
	// SwitchPath: use the other way of setting weights, in the clear or by
	// commit and reveal, after reading the hyperparameters again.
	SwitchPath
	// Bug: the node built a request that no state of the chain accepts.
	Bug
)

// String names the class in logs and statistics.
func (c Class) String() string {
	switch c {
	case ClassNone:
		return "none"
	case Wait:
		return "wait"
	case Resync:
		return "resync"
	case Stop:
		return "stop"
	case Upgrade:
		return "upgrade"
	case SwitchPath:
		return "switch_path"
	case Bug:
		return "bug"
	}
	return "unknown"
}

// refusal is one row of the table below.
type refusal struct {
	code    Code
	class   Class
	meaning string
	advice  string
}

// refusals lists every code this program knows, in the order of the constants.
// What to do follows the chain specification's section on errors.
var refusals = []refusal{
	{SettingWeightsTooFast, Wait, "weights were set less than the rate limit's blocks ago", "wait until LastUpdate + WeightsRateLimit"},
	{CommittingWeightsTooFast, Wait, "weights were committed less than the rate limit's blocks ago", "wait until LastUpdate + WeightsRateLimit"},
	{NeuronNoValidatorPermit, Wait, "the hotkey holds no validator permit and votes on others", "skip this epoch and alert: more stake is needed to be among the permitted"},
	{NotEnoughStakeToSetWeights, Wait, "the hotkey's stake is under the threshold for weights", "skip this epoch and alert: add stake"},
	{IncorrectWeightVersionKey, Upgrade, "the subnet's weights version key is above ours", "install the version the subnet asks for"},
	{CommitRevealEnabled, SwitchPath, "the subnet takes weights by commit and reveal only", "read the hyperparameters and commit instead"},
	{CommitRevealDisabled, SwitchPath, "the subnet takes weights in the clear only", "read the hyperparameters and set weights instead"},
	{IncorrectCommitRevealVersion, Resync, "the commit names a commit-reveal version the chain has left", "read the commit-reveal version and commit again"},
	{HotKeyNotRegisteredInSubNet, Stop, "the hotkey holds no slot in the subnet", "register the hotkey"},
	{UidVecContainInvalidOne, Resync, "a weight is on a slot that does not exist", "read the metagraph and build the weights again"},
	{UidsLengthExceedUidsInSubNet, Resync, "there are more weights than slots", "read the metagraph and build the weights again"},
	{WeightVecLengthIsLow, Bug, "there are fewer weights than the subnet's minimum", "report it: the weights were built without the minimum"},
	{WeightVecNotEqualSize, Bug, "there are not as many values as slots", "report it"},
	{MaxWeightExceeded, Bug, "one weight's share is over the subnet's limit", "report it: the weights were built without the limit"},
	{DuplicateUids, Bug, "a slot is weighted twice", "report it"},
	{TooManyUnrevealedCommits, Wait, "ten commits of this hotkey wait to be revealed", "reveal them, or wait until they expire"},
	{NoWeightsCommitFound, Resync, "there is no commit to reveal", "commit again: the earlier one expired or was never included"},
	{RevealTooEarly, Wait, "the commit's reveal epoch has not begun", "wait for the reveal epoch"},
	{ExpiredWeightCommit, Resync, "the commit's reveal epoch has passed", "commit again"},
	{InvalidRevealCommitHashNotMatch, Bug, "what is revealed is not what was committed", "report it: commit and reveal must use the same quantised weights, salt and version key"},
	{HotKeyNotRegisteredInNetwork, Stop, "the hotkey holds no slot, so it cannot announce an axon", "register the hotkey"},
	{InvalidIpType, Stop, "the announced address is neither IPv4 nor IPv6", "correct the axon's external address"},
	{InvalidIpAddress, Stop, "the announced address cannot be reached by others", "set the axon's external address to a public one"},
	{InvalidPort, Stop, "the announced port is 0", "set the axon's external port"},
	{ServingRateLimitExceeded, Wait, "an axon was announced less than the serving limit's blocks ago", "wait, and do not announce what is announced already"},
	{HotKeyAlreadyRegisteredInSubNet, Stop, "the hotkey holds a slot already", "nothing to do"},
	{NewHotKeyIsSameWithOld, Bug, "a hotkey cannot be swapped with itself", "give another hotkey"},
	{NoNeuronIdAvailable, Wait, "no slot may be given away", "wait until a slot can be pruned"},
	{SubnetNotExists, Stop, "the chain has no subnet of that number", "check the netuid and the network"},
	{HotKeyAccountNotExists, Stop, "the chain knows no account of the hotkey", "register the hotkey"},
	{InputLengthsUnequal, Bug, "the lists of one call differ in length", "report it"},
	{ColdkeySwapAnnounced, Stop, "a swap of the coldkey is under way", "wait for the swap, or cancel it with the coldkey"},
	{ColdkeySwapDisputed, Stop, "a swap of the coldkey is disputed, and the account is frozen", "settle the dispute with the coldkey's owner and the chain's"},
	{InsufficientBalance, Stop, "the account has too little for the operation", "send the hotkey a little TAO"},
	{MechanismDoesNotExist, Stop, "the subnet has no mechanism of that number", "correct the mechanism in the configuration, or --mechid: 0 is always there"},
	{SubtokenDisabled, Stop, "the subnet has not been started: its token is disabled", "ask the subnet's owner to start it, or check the netuid"},
	{TxRateLimitExceeded, Wait, "the hotkey did this less than the chain's rate limit ago", "wait: the limit is in blocks"},
	{DisabledTemporarily, Wait, "the chain has switched this call off for a while", "wait and alert: the chain's announcements say for how long"},
	{Deprecated, Upgrade, "the chain has replaced this call by another", "install the version that knows the chain's present calls"},
	{RootWeights, Stop, "weights of the root network are not set", "check the netuid: 0 is no subnet"},
	{Stale, Resync, "the nonce has been used", "read the nonce again; is another process using the hotkey?"},
	{Future, Resync, "an extrinsic with an earlier nonce is missing", "read the nonce again"},
	{BadProof, Resync, "the signature is not over what the chain expects", "read runtime version and genesis again: the runtime was upgraded, or the endpoint is of another chain"},
	{AncientBirthBlock, Resync, "the extrinsic's era is over", "sign again from a newer block"},
	{ExhaustsResources, Wait, "the block is full", "wait for the next block"},
	{Payment, Stop, "the account cannot pay the fee", "send the hotkey a little TAO"},
	{InvalidRevealRound, Resync, "the beacon's round for the reveal has passed", "read the chain's time again and commit again"},
	{UnknownValidity, Wait, "the endpoint cannot judge the extrinsic", "try another endpoint"},
	{TemporarilyBanned, Wait, "the endpoint's pool refuses this extrinsic for a while", "wait for the outcome of the first submission"},
	{AlreadyImported, Wait, "the endpoint's pool holds this extrinsic already", "wait for the outcome of the first submission"},
	{TooLowPriority, Wait, "the pool holds another extrinsic of ours in its place", "wait for that one's outcome"},
	{CycleDetected, Bug, "the extrinsic depends on itself", "report it"},
	{ImmediatelyDropped, Wait, "the endpoint's pool is full", "wait, or try another endpoint"},
	{BadRequest, Resync, "the chain refuses the request at the pool and does not say why", "read the subnet again and build the request anew; if it comes again, compare permit, commit-reveal and version key with the chain's"},
	{CallFiltered, Wait, "the chain is in safe mode and lets this call not through", "wait and alert"},
	{CallDisabled, Stop, "the chain does not offer this call", "choose another call"},
}

func (c Code) row() (refusal, bool) {
	for i := range refusals {
		if refusals[i].code == c {
			return refusals[i], true
		}
	}
	return refusal{}, false
}

// Codes returns every refusal this program knows by name.
func Codes() []Code {
	codes := make([]Code, len(refusals))
	for i := range refusals {
		codes[i] = refusals[i].code
	}
	return codes
}

// Class says what to do. A name this program does not know is Wait: a newer
// chain has a new reason, and stopping for good over it would be worse than
// trying again later; it is to be alerted all the same (see Known).
func (c Code) Class() Class {
	if c == OK {
		return ClassNone
	}
	if r, ok := c.row(); ok {
		return r.class
	}
	return Wait
}

// Known tells whether this program knows the name.
func (c Code) Known() bool {
	_, ok := c.row()
	return ok || c == OK
}

// Meaning is one line on why the chain refused.
func (c Code) Meaning() string {
	if c == OK {
		return "accepted"
	}
	if r, ok := c.row(); ok {
		return r.meaning
	}
	return "a refusal this version does not know"
}

// Advice is one line on what to do.
func (c Code) Advice() string {
	if c == OK {
		return "nothing to do"
	}
	if r, ok := c.row(); ok {
		return r.advice
	}
	return "try later, and look the name up in the chain's error list"
}

// String is the chain's name of the refusal, or OK.
func (c Code) String() string {
	if c == OK {
		return "OK"
	}
	return string(c)
}
