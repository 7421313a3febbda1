// SPDX-License-Identifier: MIT
/// \file belay/session/detail/receiver_notice.hpp
/// ReceiverNotice: what a receiver's observer will hear when the receiver is consistent.
#pragma once

#include <belay/session/ledger_like.hpp>
#include <belay/session/session_errc.hpp>
#include <belay/session/session_observer.hpp>

namespace belay::inline BELAY_ABI::detail {

struct ReceiverNotice {
    enum class Kind : std::uint8_t { attached, committed, replaced, refused, failed } kind;
    Id sender{};
    Progress progress{};
    std::error_code error{};
};

/// Calls the hook that a notice is for.   Throws: what the hook throws.
template <class O, class R>
void tell(O& observer, R& receiver, const ReceiverNotice& n) {
    using Kind = ReceiverNotice::Kind;
    switch (n.kind) {
        case Kind::attached:
            return notify<OnAttached>(observer, receiver, n.sender, n.progress);
        case Kind::committed:
            return notify<OnCommitted>(observer, receiver, n.sender, n.progress);
        case Kind::replaced:
            return notify<OnJournalReplaced>(observer, receiver, n.sender, n.progress);
        case Kind::refused:
            return notify<OnRefused>(observer, receiver, static_cast<SessionErrc>(n.error.value()),
                                     n.sender);
        case Kind::failed:
            return notify<OnLedgerFailed>(observer, receiver, n.error);
    }
}

}  // namespace belay::inline BELAY_ABI::detail
