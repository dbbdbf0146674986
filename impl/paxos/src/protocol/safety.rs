//! The safety arguments of the protocol, each written out once. This module has no code.
//!
//! Each section states a claim, the reason for it, the failure without it, and the entries of the catalogue of
//! known bugs that show the failure. `cargo run -p paxos-model -- mutants` searches the model for each entry, and
//! `mutants --show 5` shows the failure of entry 5.
//!
//! The safety property is agreement: in one slot at most one value is ever chosen, and only a value that was
//! proposed. A value is *chosen* in a slot once a phase 2 quorum has accepted it there in one ballot. The arguments
//! take four things for granted:
//!
//! - Nodes do not lie.
//! - Members do not change.
//! - Every phase 1 quorum shares a node with every phase 2 quorum. `Config::validate` checks the sizes.
//! - Every driver keeps the contract of the [crate].
//!
//! # One value per ballot
//!
//! *Claim.* In one ballot and slot at most one value is proposed.
//!
//! *Reason.* A ballot contains the id of its owner, and a Prepare or Accept message from another sender is ignored.
//! The owner begins only ballots above its promise. It promises each new ballot itself, and this promise is durable
//! before the Prepare message leaves. So it never uses a ballot twice, not even after a crash. While it leads, it
//! proposes in each slot at most once. A message that is sent again carries the value of the leader's own vote.
//!
//! *Papers.* Paxos Made Simple, section 2.5; The Part-Time Parliament, condition B1; Paxos Made Moderately Complex,
//! invariants A4 and C1.
//!
//! *Without it* the votes of one ballot do not stand for one value, and two values can be chosen. Entry 15 begins a
//! ballot twice. Entry 16 changes the value in a ballot.
//!
//! # Adopted values
//!
//! *Claim.* If a value is chosen in a slot, no leader of a higher ballot proposes another value in that slot.
//!
//! *Reason.* A leader has promises from a phase 1 quorum. One of these nodes voted for the chosen value, because
//! the quorums intersect. It did so before it promised the leader's ballot, and so it reports a vote in that slot,
//! in the ballot in which the value was chosen or in a later one. By induction on ballots, every vote in such a
//! later ballot is for the chosen value. The leader proposes the reported value of the highest ballot. If no vote
//! is reported in a slot, nothing is chosen there in a lower ballot, and the leader may propose any value. It
//! proposes a no-op below the end of the log, and clients' commands after it.
//!
//! *Papers.* Paxos Made Simple, P2c in section 2.2. The Part-Time Parliament, condition B3. Paxos Made Moderately
//! Complex, invariants A5 and C2.
//!
//! *Without it* a new leader replaces a chosen value. Entries 8 and 9 ignore the reports or adopt the wrong one.
//! Entries 10, 11 and 17 lead without a quorum. Entries 6, 7, 18 and 18b falsify the reports, and 18d does not ask for
//! all of them. Entries 23, 24 and 28 propose in slots or ballots for which no report was read.
//!
//! # Counted votes
//!
//! *Claim.* Each value that a leader takes for chosen is chosen.
//!
//! *Reason.* The leader counts the votes for each slot as a set of nodes, so that a vote that arrives twice counts
//! once. It counts only votes in the ballot that it leads, and drops the sets when it leaves the ballot. The slot and
//! the ballot of a vote determine its value (see [one value per ballot](#one-value-per-ballot)).
//!
//! *Without it* a client is told of a value that may still be replaced. Entries 12, 13 and 14 count wrongly. In
//! entry 22 an acceptor claims a vote that it did not cast.
//!
//! # The shared promise
//!
//! *Claim.* An acceptor needs one promise for the whole log. To accept in one slot is to promise the ballot for
//! every slot.
//!
//! *Reason.* To raise the promise is always safe, because an acceptor that refuses more behaves like one whose
//! messages are lost. To raise it with each vote is also necessary, because a reported vote has to be the acceptor's
//! highest in that slot. If a vote did not raise the promise, the acceptor could vote in a lower ballot afterwards and
//! lose the higher vote. One Promise message reports the votes of all slots that the candidate does not know, so one phase
//! 1 serves every slot in which the leader will ever propose.
//!
//! *Papers.* Paxos Made Simple, section 2.2: "An acceptor can ignore any request without compromising safety."
//! Section 3 and The Part-Time Parliament, section 3.1, have one phase 1 for all slots.
//!
//! *Without it* a quorum no longer holds a chosen value. In entry 5 a vote does not promise. Entries 3 and 4 break
//! the promise itself.
//!
//! *Repeated promises.* An acceptor answers a Prepare message again if the ballot is already promised, because the
//! first answer may be lost. The reports are the same as in the first answer, except for slots trimmed since then,
//! because the acceptor votes in no lower ballot. Once the acceptor has voted in the ballot, it does not answer: the
//! owner has had its quorum, and needs no answer. Once the acceptor has trimmed all its votes of the ballot, it no
//! longer sees that it voted, and answers again. That does no harm. Entry 21 always answers, and does no harm either.
//!
//! # Early Accepts
//!
//! *Claim.* An Accept message may leave before the records of its step are durable, if the promise of its ballot is
//! durable.
//!
//! *Reason.* The message says only that the owner of the ballot proposes a value. A crash may take away the
//! leader's own vote and its memory of the proposal. The ballot itself is not begun again, because its promise is
//! durable, so nothing else is ever proposed in it. A quorum of followers may even choose the value without the
//! leader's vote. Each vote rests on the record of the node that voted. The syncs of leader and followers then
//! overlap.
//!
//! *The leader's own vote* is counted at once in memory. Everything that follows from it (`Chosen` messages, chosen
//! values, reads) belongs to the same output or a later one, and waits for the record of that vote. The same holds
//! for the node's own promise.
//!
//! *Without it* there are two failures. If the Accept message leaves before the promise is durable, a crash can
//! make the node begin the ballot again and propose another value in it (entry 30). Only a node whose own promise is
//! a quorum can fail in this way: any other node needs the answers to its Prepare message, which waits for the same
//! record. If an effect of the leader's own vote leaves before that vote is durable, a client is told of a value that
//! a crash can undo (entry 31).
//!
//! # Trimming
//!
//! *Claim.* A node may forget its votes and values in every slot that is chosen and whose effect is in a durable
//! snapshot.
//!
//! *Reason.* A vote has one use: it tells a later leader of a value that may be chosen. In place of the forgotten
//! votes, a Promise message carries `trimmed`, which says that every slot below `trimmed` is chosen. A candidate does
//! not lead before it knows all slots below the highest `trimmed` of its quorum, from messages or by a snapshot. It
//! then proposes only in slots that it does not know to be chosen. In those slots every node of the quorum reported
//! its votes, so the argument for [adopted values](#adopted-values) holds unchanged. An acceptor does not vote in a
//! slot that it has trimmed. To refuse a vote is always safe. The acceptor answers with a Trimmed message, because the
//! proposer lacks a chosen value.
//!
//! *Papers.* Paxos Made Moderately Complex, "Garbage Collection".
//!
//! *Without it* other values are chosen in place of those in the snapshot. Entry 25 trims slots that are not
//! chosen, 18c does not report `trimmed`, and 25b leads without the trimmed slots. Entry 44 trims slots that the state
//! machine has not applied. Only the driver can prevent this fault, because the replica has no state machine.
//!
//! # Reports from the first unknown slot
//!
//! *Claim.* A promise need not report votes in slots that the candidate knows to be chosen.
//!
//! *Reason.* A Prepare message names `first`, the first slot that the candidate does not know to be chosen when it begins
//! the ballot. The candidate proposes nothing below `first`: while it runs it does not forget what it knows, and after a
//! crash it begins another ballot. In every slot in which it proposes, each node of its quorum reported its last vote. So
//! the argument for [adopted values](#adopted-values) holds unchanged. A Prepare message that is sent again names the
//! same slot, so all promises of a ballot report the same part of the log.
//!
//! *Papers.* Paxos Made Simple, section 3: a new leader that knows commands 1 to 134, 138 and 139 "executes phase 1 of
//! instances 135-137 and of all instances greater than 139". Here it does so for 138 and 139 as well, so that one number
//! names the slots.
//!
//! *Without it* a promise is as long as the log behind the last snapshot, and each repeated Prepare message asks for all
//! of it. Safety fails if `first` is too high: entry 18d names the slot after the last known one, and a no-op replaces the
//! value that is chosen in a gap before it.
//!
//! # Reads
//!
//! *Claim.* A read may be answered without an entry in the log, from a state to which every slot below
//! [`ReadReady::at`] is applied. That state has the effect of every command whose result any client knew when the
//! read was asked.
//!
//! *Reason.* The leader of ballot b first lets a phase 2 quorum of nodes confirm that they have promised nothing above
//! b. A leader of a higher ballot needs the promise of one of these nodes, and that node promises after it has
//! confirmed. So when the leader of b asked for the confirmation, nothing was chosen in a ballot above b. There are two
//! kinds of values that a client can know by then:
//!
//! - The value was chosen in a ballot below b. Then it was reported to the leader, or the leader knew it to be chosen.
//!   Its slot is below `barrier`, the end of the log when this node began to lead.
//! - The value was chosen in b. The votes of b go to its owner only, and a client hears of the value after the
//!   leader does. So the slot is below the end of the slots that the leader knows to be chosen.
//!
//! `at` is the higher of the two ends. It is fixed when the round begins, and may lie beyond a gap in the values that
//! the leader knows. Another node may know the value in the gap from an earlier leader, and may have applied the slots
//! after it.
//!
//! *Rounds.* A confirmation counts only in the round that asked for it. A confirmation of an earlier round may have
//! been sent before the read was asked, and another leader may have been elected since.
//!
//! *Without it* a client sees an older state than another client has seen before. Entry 26 does not ask for
//! confirmation, 26b leaves out the barrier, 26c counts an earlier round, and 26d stops at the gap.
//!
//! # Recovery
//!
//! *Claim.* A replica that is rebuilt from its durable records behaves like one that was slow and lost some
//! messages.
//!
//! *Reason.* A message other than an [early Accept](#early-accepts) leaves only after the records of its output are
//! durable. So the other nodes have heard of no promise and no vote that the crash took away. Agreement does not
//! depend on the state that is not recorded. A candidate or leader comes back as a follower. It leads again only in a
//! higher ballot, because it no longer knows the promises that it received and the values that it proposed. It learns
//! the chosen values again.
//!
//! *Noted votes.* A driver may note durably that each vote below a slot is for the chosen value, as far as the replica knows
//! that ([`Replica::votes_chosen_below`]). The chosen value never changes, but the vote may: a node that learned the value
//! without a vote in that ballot may still vote in a lower ballot, for another value. So the note becomes durable together
//! with the votes, and a vote below it lowers it. After a start the replica may then learn the values of the noted votes.
//! It is as if a Chosen message arrived for each slot. Entry 52 notes too much.
//!
//! *Papers.* Paxos Made Simple, section 2.5; Paxos Made Moderately Complex, "Keeping State on Disk".
//!
//! *Without it* a node forgets a promise or a vote on which other nodes rely, and a chosen value is replaced. Entry 1
//! releases messages before their records are durable, 2 takes an unreadable disk for an empty one, and 15 does not
//! store the promise of its own ballot.
//!
//! [`ReadReady::at`]: crate::ReadReady::at
//! [`Replica::votes_chosen_below`]: crate::Replica::votes_chosen_below
