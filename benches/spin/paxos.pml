/*
 * Lamport's Paxos for Spin: the same states and steps as model/paxos-model/src/synod, which explains them.
 *
 * There are three acceptors, two values, and the number of ballots that -DB=... gives. The state is the set
 * of messages sent so far. It takes nine bytes, one for each kind of message and its sender or value, and bit
 * b of each byte is ballot b. A step sends one message, and each message is sent at most once.
 *
 * The model has one process, which takes any possible step. This makes it fast: Spin has no queues and no
 * other program counters to store, a step is one transition of pan, and undoing it restores one byte.
 *
 *     spin -a -DB=3 paxos.pml
 *     gcc -O3 -DSAFETY -DNOREDUCE -DNOFAIR -o pan pan.c && ./pan -m100
 *
 * With -DBUG, proposers ignore what promises report, and two ballots are enough to break agreement.
 */

#ifndef B
#define B 3
#endif
#if B < 1 || B > 4
#error "give 1 to 4 ballots"
#endif

#define BIT(b) (1 << (b))

byte prepared;                          /* 1a */
byte promised0, promised1, promised2;   /* 1b, by acceptor */
byte proposed0, proposed1;              /* 2a, by value */
byte voted0, voted1, voted2;            /* 2b, by acceptor */

#define PROPOSED (proposed0 | proposed1)
#define VOTED    (voted0 | voted1 | voted2)
/* Ballots in which two of three have voted. */
#define CHOSEN   ((voted0 & voted1) | (voted0 & voted2) | (voted1 & voted2))

/* Agreement; one value per ballot; and validity. */
#define SAFE (!((CHOSEN & proposed0) && (CHOSEN & proposed1)) \
              && !(proposed0 & proposed1) \
              && !(VOTED & ~PROPOSED))

/*
 * True if promises of two acceptors in ballot b allow to propose `mine`, given the votes of these two.
 *
 * The highest vote below b decides. No ballot has two values, so the votes for either value are sets
 * of ballots that do not meet, and the one with the highest ballot is the larger number. They are
 * equal only if both are empty. Then any value is allowed.
 */
#ifdef BUG
#define FREE(b, votes, mine, other) true
#else
#define FREE(b, votes, mine, other) \
  (((votes) & (BIT(b) - 1) & mine) >= ((votes) & (BIT(b) - 1) & other))
#endif

/* Quorums of three allow no more than quorums of two: two of the three, with the highest vote, allow the same. */
#define ALLOWED(b, mine, other) \
  (   ((promised0 & promised1 & BIT(b)) && FREE(b, voted0 | voted1, mine, other)) \
   || ((promised0 & promised2 & BIT(b)) && FREE(b, voted0 | voted2, mine, other)) \
   || ((promised1 & promised2 & BIT(b)) && FREE(b, voted1 | voted2, mine, other)))

/* Spin merges guard and assignment into one transition, since no other process can see the state between them. */
#define STEP(guard, messages, b) :: atomic { (guard) -> messages = messages | BIT(b) }

/* A set of ballots as a number is less than BIT(b) if all of them are below b. */
#define PROMISE(b, promised, voted) \
  STEP((prepared & BIT(b)) && (promised | voted) < BIT(b), promised, b)
#define VOTE(b, promised, voted) \
  STEP((PROPOSED & BIT(b)) && promised < BIT(b + 1) && voted < BIT(b), voted, b)
#define PROPOSE(b, mine, other) \
  STEP(!(PROPOSED & BIT(b)) && ALLOWED(b, mine, other), mine, b)

#define BALLOT(b) \
  STEP(!(prepared & BIT(b)), prepared, b) \
  PROMISE(b, promised0, voted0) PROMISE(b, promised1, voted1) PROMISE(b, promised2, voted2) \
  PROPOSE(b, proposed0, proposed1) PROPOSE(b, proposed1, proposed0) \
  VOTE(b, promised0, voted0) VOTE(b, promised1, voted1) VOTE(b, promised2, voted2)

active proctype paxos() {
  /* A state without further steps is not a deadlock. */
end:
  do
  /* The guard is evaluated in each state. It is false unless a state is unsafe, so this adds no state. */
  :: !SAFE -> assert(SAFE)
  BALLOT(0)
#if B > 1
  BALLOT(1)
#endif
#if B > 2
  BALLOT(2)
#endif
#if B > 3
  BALLOT(3)
#endif
  od
}
