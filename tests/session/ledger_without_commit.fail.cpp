// SPDX-License-Identifier: MIT
// expect-error: LedgerLike: L needs 'std::error_code commit
#include <belay/session/receiver.hpp>

#include "support/session/session_archetypes.hpp"

struct Ledger : belay_test::MinimalLedger {
    using MinimalLedger::MinimalLedger;
#if !defined(BELAY_CONTROL)
    std::error_code commit() = delete;
#endif
};

std::size_t use() { return sizeof(belay::Receiver<belay_test::MinimalBytesTransport, Ledger>); }
