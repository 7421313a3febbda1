// SPDX-License-Identifier: MIT
// The smallest ledger: what was delivered, in memory. A real one survives its process.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <belay/session.hpp>

/// Outlives the server's process in the examples, as a disk would.
struct LedgerStorage {
    belay::Id store{std::byte{42}};
    std::map<belay::Id, belay::Progress> progress;
    std::vector<std::string> delivered;
};

/// Models: belay::LedgerLike.
class LedgerInMemory {
public:
    explicit LedgerInMemory(LedgerStorage& storage) : storage_{&storage} {}

    [[nodiscard]] const belay::Id& store_id() const noexcept { return storage_->store; }
    [[nodiscard]] std::optional<belay::Progress> progress(const belay::Id& sender) const {
        const auto found = storage_->progress.find(sender);
        if (found == storage_->progress.end()) return std::nullopt;
        return found->second;
    }
    [[nodiscard]] std::error_code adopt(const belay::Id& sender, const belay::Progress& progress) {
        storage_->progress[sender] = progress;
        return {};
    }
    [[nodiscard]] std::error_code apply(const belay::Id& sender, const belay::Progress& progress,
                                        belay::BytesView operation) {
        storage_->delivered.emplace_back(belay::as_text(operation));
        storage_->progress[sender] = progress;
        return {};
    }
    [[nodiscard]] std::error_code commit() { return {}; }

private:
    LedgerStorage* storage_;
};
