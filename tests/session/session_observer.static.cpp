// SPDX-License-Identifier: MIT
// Goal: each hook alone makes an observer, with the machine in front or without; one without any
// hook is none.
#include <belay/session/session_observer.hpp>

#include <functional>

#include <belay/journal/id.hpp>
#include <belay/session/blocked.hpp>
#include <belay/session/ledger_like.hpp>
#include <belay/session/session_errc.hpp>

using namespace belay;

namespace {

struct Machine {};

template <class O>
constexpr bool session = detail::observes_session<O, Machine, Blocked, BlockedDetails>();
template <class O>
constexpr bool receiver = detail::observes_receiver<O, Machine, Id, Progress, SessionErrc>();

struct State {
    void on_state(const Transition&);
};
struct StateWithMachine {
    void on_state(auto&, const Transition&);
};
struct Accepted {
    void on_accepted(std::uint64_t);
};
struct AcceptedWithMachine {
    void on_accepted(Machine&, std::uint64_t);
};
struct Acknowledged {
    void on_acknowledged(std::uint64_t);
};
struct BlockedHook {
    void on_blocked(Blocked, const BlockedDetails&);
};
struct SessionReplaced {
    void on_journal_replaced(const BlockedDetails&);
};
struct Stalled {
    void on_stalled();
};
struct StalledWithMachine {
    void on_stalled(auto&);
};
struct Attached {
    void on_attached(const Id&, const Progress&);
};
struct Committed {
    void on_committed(auto&, const Id&, const Progress&);
};
struct ReceiverReplaced {
    void on_journal_replaced(const Id&, const Progress&);
};
struct Refused {
    void on_refused(SessionErrc, const Id&);
};
struct LedgerFailed {
    void on_ledger_failed(std::error_code);
};
struct Misspelt {
    void on_acepted(std::uint64_t);
    void on_comitted(const Id&, const Progress&);
};

static_assert(session<NoObserver> && receiver<NoObserver>);
static_assert(session<std::reference_wrapper<NoObserver>>);
static_assert(session<State> && session<StateWithMachine>);
static_assert(session<Accepted> && session<AcceptedWithMachine>);
static_assert(session<std::reference_wrapper<Accepted>>);
static_assert(session<Acknowledged>);
static_assert(session<BlockedHook>);
static_assert(session<SessionReplaced>);
static_assert(session<Stalled> && session<StalledWithMachine>);
static_assert(receiver<Attached>);
static_assert(receiver<Committed>);
static_assert(receiver<ReceiverReplaced>);
static_assert(receiver<Refused>);
static_assert(receiver<LedgerFailed>);
static_assert(receiver<std::reference_wrapper<LedgerFailed>>);

static_assert(!session<Misspelt> && !receiver<Misspelt>);
static_assert(!session<Attached> && !receiver<State>);
static_assert(!session<ReceiverReplaced> && !receiver<SessionReplaced>);

}  // namespace
