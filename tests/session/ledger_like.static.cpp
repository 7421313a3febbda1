// SPDX-License-Identifier: MIT
// Goal: LedgerLike holds for the archetype, and for nothing that lacks one of its requirements.
#include <belay/session/ledger_like.hpp>

#include "support/session/session_archetypes.hpp"

using namespace belay;
using belay_test::MinimalLedger;

static_assert(explain::ledger_like<MinimalLedger>());

namespace {

struct IdByValue : MinimalLedger {
    Id store_id() const noexcept;
};
struct IdThatThrows : MinimalLedger {
    const Id& store_id() const;
};
struct ProgressWithoutDoubt : MinimalLedger {
    Progress progress(const Id&) const;
};
struct ProgressThatChanges : MinimalLedger {
    std::optional<Progress> progress(const Id&);
};
struct AdoptWithoutAnswer : MinimalLedger {
    void adopt(const Id&, const Progress&);
};
struct ApplyWithoutProgress : MinimalLedger {
    std::error_code apply(const Id&, BytesView);
};
struct CommitThatAnswersBool : MinimalLedger {
    bool commit();
};

static_assert(!LedgerLike<int>);
static_assert(!LedgerLike<IdByValue>);
static_assert(!LedgerLike<IdThatThrows>);
static_assert(!LedgerLike<ProgressWithoutDoubt>);
static_assert(!LedgerLike<ProgressThatChanges>);
static_assert(!LedgerLike<AdoptWithoutAnswer>);
static_assert(!LedgerLike<ApplyWithoutProgress>);
static_assert(!LedgerLike<CommitThatAnswersBool>);

}  // namespace
