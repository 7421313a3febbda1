// SPDX-License-Identifier: MIT
/// \file tests/support/session/memory_ledger.hpp
/// MemoryLedger: a LedgerLike in memory that fails on demand. The test owns it, and the receiver
/// has a reference.
#pragma once

#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <belay/session/ledger_like.hpp>

namespace belay_test {

struct MemoryLedger {
    belay::Id store{std::byte{0x5A}};
    std::map<belay::Id, belay::Progress> applied;  ///< includes progress that is not committed
    std::map<belay::Id, belay::Progress> committed;
    std::vector<std::string> effects;
    std::vector<std::string> log;  ///< "adopt", "apply n", "commit"
    std::error_code adopt_fails;
    std::error_code apply_fails;
    std::string apply_fails_for;  ///< only for this operation; empty: for each
    std::error_code commit_fails;
    bool progress_throws = false;
    bool adopt_throws = false;
    bool apply_throws = false;
    bool commit_throws = false;
    std::function<void()> on_apply;  ///< runs inside apply(), before its effect
    std::function<void()> on_apply_failure;
    std::function<void()> on_commit;  ///< the same inside commit()
    std::function<void()> on_adopt;   ///< the same inside adopt()
    std::function<void()> on_progress;
    std::function<void(belay::Progress&)> stores;  ///< changes the progress that is stored
};

/// The ledger of a Receiver.
class LedgerView {
public:
    explicit LedgerView(MemoryLedger& ledger) : ledger_{&ledger} {}

    [[nodiscard]] const belay::Id& store_id() const noexcept { return ledger_->store; }
    [[nodiscard]] std::optional<belay::Progress> progress(const belay::Id& sender) const {
        if (ledger_->progress_throws) throw std::runtime_error{"progress"};
        if (ledger_->on_progress) ledger_->on_progress();
        const auto i = ledger_->applied.find(sender);
        return i == ledger_->applied.end() ? std::nullopt : std::optional{i->second};
    }
    std::error_code adopt(const belay::Id& sender, const belay::Progress& p) {
        ledger_->log.emplace_back("adopt");
        if (ledger_->adopt_throws) throw std::runtime_error{"adopt"};
        if (ledger_->adopt_fails) return ledger_->adopt_fails;
        if (ledger_->on_adopt) ledger_->on_adopt();
        ledger_->committed[sender] = ledger_->applied[sender] = stored(p);
        return {};
    }
    std::error_code apply(const belay::Id& sender, const belay::Progress& p,
                          belay::BytesView operation) {
        ledger_->log.push_back("apply " + std::to_string(p.applied));
        if (ledger_->apply_throws) throw std::runtime_error{"apply"};
        const bool fails = ledger_->apply_fails_for.empty() ||
                           ledger_->apply_fails_for == belay::as_text(operation);
        if (ledger_->apply_fails && fails) {
            if (ledger_->on_apply_failure) ledger_->on_apply_failure();
            return ledger_->apply_fails;
        }
        if (ledger_->on_apply) ledger_->on_apply();
        ledger_->applied[sender] = stored(p);
        ledger_->effects.emplace_back(belay::as_text(operation));
        return {};
    }
    std::error_code commit() {
        ledger_->log.emplace_back("commit");
        if (ledger_->commit_throws) throw std::runtime_error{"commit"};
        if (ledger_->commit_fails) return ledger_->commit_fails;
        if (ledger_->on_commit) ledger_->on_commit();
        ledger_->committed = ledger_->applied;
        return {};
    }

private:
    [[nodiscard]] belay::Progress stored(belay::Progress p) const {
        if (ledger_->stores) ledger_->stores(p);
        return p;
    }

    MemoryLedger* ledger_;
};

}  // namespace belay_test
