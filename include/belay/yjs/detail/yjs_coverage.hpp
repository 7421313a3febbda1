// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_coverage.hpp
/// Coverage: which clocks a Yjs document has, and which of them are deleted.
#pragma once

#include <algorithm>  // std::all_of, std::count_if, std::lower_bound, std::upper_bound
#include <span>       // std::span
#include <vector>     // std::vector

#include <belay/yjs/detail/yjs_merge.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// The clocks that a document has, and the ranges of them that are deleted.
class Coverage {
public:
    Coverage() = default;
    /// Takes both from what a Merger has merged.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): of clocks, both
    Coverage(std::vector<DeleteRange> runs, std::vector<DeleteRange> deletes) noexcept
        : runs_{std::move(runs)}, deletes_{std::move(deletes)} {
        runs_.shrink_to_fit();
        deletes_.shrink_to_fit();
    }

    /// Replaces the deleted ranges by more of them.
    void set_deletes(std::vector<DeleteRange> deletes) noexcept {
        deletes_ = std::move(deletes);
        deletes_.shrink_to_fit();
    }

    /// Returns how many clients there are, at most.
    [[nodiscard]] std::size_t clients() const noexcept { return runs_.size(); }
    /// Returns how many ranges of clocks are deleted.
    [[nodiscard]] std::size_t delete_ranges() const noexcept { return deletes_.size(); }
    /// Returns how many blocks of an update are of clients that are not there.
    /// Complexity: O(m log n).
    [[nodiscard]] std::size_t new_clients(const Sources& update) const noexcept {
        return static_cast<std::size_t>(
            std::count_if(update.blocks.begin(), update.blocks.end(), [this](const Block& block) {
                const auto found = std::lower_bound(
                    runs_.begin(), runs_.end(), block.client,
                    [](const DeleteRange& r, std::uint64_t client) { return r.client > client; });
                return found == runs_.end() || found->client != block.client;
            }));
    }
    /// Returns, as a state vector, what is there of each client without a gap.
    /// Complexity: O(runs).
    [[nodiscard]] Bytes state_vector() const {
        Bytes out;
        std::uint64_t clients = 0;
        for (const DeleteRange& run : runs_) {
            if (run.clock != 0) continue;
            append_varuint(out, run.client);
            append_varuint(out, run.len);
            ++clients;
        }
        insert_varuints(out, 0, {clients});
        return out;
    }

    /// Returns whether an update adds nothing new.   Complexity: O(m log n).
    [[nodiscard]] bool holds(Sources& update) const {
        bool known = true;
        for_each_run(update, [&](const DeleteRange& run) { known = known && is_in(runs_, run); });
        return known && std::all_of(update.deletes.begin(), update.deletes.end(),
                                    [this](const DeleteRange& r) { return is_in(deletes_, r); });
    }

private:
    template <class F>
    static void for_each_run(const Sources& sources, F&& f) {
        for (Block block : sources.blocks) {
            DeleteRange run{block.client, block.clock, 0};
            while (block.structs > 0) {
                const Struct s = sources.take(block);
                if (s.kind() != ref::skip) {
                    run.len += s.len;
                    continue;
                }
                if (run.len > 0) f(run);
                run = {block.client, s.clock_end(), 0};
            }
            if (run.len > 0) f(run);
        }
    }

    /// Returns whether a range is inside one of the others.   Pre: sorted as united ranges are.
    [[nodiscard]] static bool is_in(std::span<const DeleteRange> ranges,
                                    const DeleteRange& wanted) noexcept {
        const auto behind = std::upper_bound(
            ranges.begin(), ranges.end(), wanted, [](const DeleteRange& a, const DeleteRange& b) {
                return a.client != b.client ? a.client > b.client : a.clock < b.clock;
            });
        if (behind == ranges.begin()) return false;
        const DeleteRange& range = *(behind - 1);
        return range.client == wanted.client && wanted.clock_end() <= range.clock_end();
    }

    std::vector<DeleteRange> runs_;
    std::vector<DeleteRange> deletes_;
};

}}}  // namespace belay::yjs::detail
