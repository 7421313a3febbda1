// SPDX-License-Identifier: MIT
// The smallest ledger: what was delivered, in memory. A real one survives its process.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <belay/session.hpp>

/// What outlives the server's process in the examples, as a disk would.
struct Shelf {
    belay::Id store{std::byte{42}};
    std::map<belay::Id, belay::Progress> progress;
    std::vector<std::string> delivered;
};

/// Models: belay::LedgerLike.
class MemoryLedger {
public:
    explicit MemoryLedger(Shelf& shelf) : shelf_{&shelf} {}

    [[nodiscard]] const belay::Id& store_id() const noexcept { return shelf_->store; }
    [[nodiscard]] std::optional<belay::Progress> progress(const belay::Id& sender) const {
        const auto found = shelf_->progress.find(sender);
        if (found == shelf_->progress.end()) return std::nullopt;
        return found->second;
    }
    [[nodiscard]] std::error_code adopt(const belay::Id& sender, const belay::Progress& progress) {
        shelf_->progress[sender] = progress;
        return {};
    }
    [[nodiscard]] std::error_code apply(const belay::Id& sender, const belay::Progress& progress,
                                        belay::BytesView operation) {
        shelf_->delivered.emplace_back(belay::as_text(operation));
        shelf_->progress[sender] = progress;
        return {};
    }
    [[nodiscard]] std::error_code commit() { return {}; }

private:
    Shelf* shelf_;
};
