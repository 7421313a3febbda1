// SPDX-License-Identifier: MIT
/// \file belay/session/receiver_observer.hpp
/// The hooks of a receiver's observer.
///
/// A Receiver has these hooks, each of which may leave out the receiver:
/// - `on_attached(auto& receiver, const Id& sender, const Progress&)`
/// - `on_committed(auto& receiver, const Id& sender, const Progress&)`
/// - `on_journal_replaced(auto& receiver, const Id& sender, const Progress& old)`
/// - `on_rejected(auto& receiver, SessionErrc, const Id& sender)`
/// - `on_ledger_failed(auto& receiver, std::error_code)`
#pragma once

#include <system_error>  // std::error_code

#include <belay/core/observer.hpp>
#include <belay/journal/id.hpp>
#include <belay/session/session_errc.hpp>
#include <belay/session/session_observer.hpp>

namespace belay { inline namespace BELAY_ABI {

struct Progress;

namespace detail {

BELAY_DETAIL_HOOK(OnAttached, on_attached);
BELAY_DETAIL_HOOK(OnCommitted, on_committed);
BELAY_DETAIL_HOOK(OnLedgerFailed, on_ledger_failed);

/// The hooks of a Receiver R.
template <class R>
struct ReceiverHooks {
    using Attached = Hook<OnAttached, R, const Id&, const Progress&>;
    using Committed = Hook<OnCommitted, R, const Id&, const Progress&>;
    using JournalReplaced = Hook<OnJournalReplaced, R, const Id&, const Progress&>;
    using Rejected = Hook<OnRejected, R, SessionErrc, const Id&>;
    using LedgerFailed = Hook<OnLedgerFailed, R, std::error_code>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Attached::template right<O>,
                      "Receiver: the observer's on_attached must be 'on_attached(const belay::Id&, "
                      "const belay::Progress&)', or have 'auto& receiver' in front of that");
        static_assert(Committed::template right<O>,
                      "Receiver: the observer's on_committed must be 'on_committed(const "
                      "belay::Id&, const belay::Progress&)', or have 'auto& receiver' in front of "
                      "that");
        static_assert(JournalReplaced::template right<O>,
                      "Receiver: the observer's on_journal_replaced must be 'on_journal_replaced("
                      "const belay::Id&, const belay::Progress&)', or have 'auto& receiver' in "
                      "front of that");
        static_assert(
            Rejected::template right<O>,
            "Receiver: the observer's on_rejected must be 'on_rejected(belay::SessionErrc, "
            "const belay::Id&)', or have 'auto& receiver' in front of that");
        static_assert(LedgerFailed::template right<O>,
                      "Receiver: the observer's on_ledger_failed must be 'on_ledger_failed("
                      "std::error_code)', or have 'auto& receiver' in front of that");
        static_assert(
            has_any_hook_of<O, Attached, Committed, JournalReplaced, Rejected, LedgerFailed>,
            "Receiver: the observer has no hook: it needs one of on_attached, "
            "on_committed, on_journal_replaced, on_rejected, on_ledger_failed. Derive an "
            "observer without hooks from belay::NoObserver");
        return true;
    }
};

}
}}  // namespace belay::detail
