// SPDX-License-Identifier: MIT
/// \file belay/session/detail/receiver_event.hpp
/// ReceiverEvent: an event that a receiver reports to its observer when its state is consistent.
#pragma once

#include <belay/session/ledger_like.hpp>
#include <belay/session/receiver_observer.hpp>
#include <belay/session/session_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct ReceiverEvent {
    enum class Kind : std::uint8_t { attached, committed, replaced, rejected, failed } kind;
    Id sender{};
    Progress progress{};
    std::error_code error{};
};

/// Calls the hook for an event.   Throws: what the hook throws.
template <class O, class R>
void notify_of(O& observer, R& receiver, const ReceiverEvent& n) {
    using Kind = ReceiverEvent::Kind;
    using Hooks = ReceiverHooks<R>;
    switch (n.kind) {
        case Kind::attached:
            return notify<typename Hooks::Attached>(observer, receiver, n.sender, n.progress);
        case Kind::committed:
            return notify<typename Hooks::Committed>(observer, receiver, n.sender, n.progress);
        case Kind::replaced:
            return notify<typename Hooks::JournalReplaced>(observer, receiver, n.sender,
                                                           n.progress);
        case Kind::rejected:
            return notify<typename Hooks::Rejected>(
                observer, receiver, static_cast<SessionErrc>(n.error.value()), n.sender);
        case Kind::failed:
            return notify<typename Hooks::LedgerFailed>(observer, receiver,
                                                        std::error_code{n.error});
    }
}

}}}  // namespace belay::detail
