// SPDX-License-Identifier: MIT
/// \file belay/yjs/yjs_document.hpp
/// YjsDocument: one merged update, and the few that came since.
#pragma once

#include <algorithm>  // std::max, std::min
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint8_t
#include <span>       // std::span
#include <vector>     // std::vector

#include <belay/core/result.hpp>
#include <belay/yjs/detail/yjs_coverage.hpp>
#include <belay/yjs/yjs_update.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a YjsDocument does to updates when it merges them.
enum class Compaction : std::uint8_t {
    coalesce = 0,           ///< joins what was typed letter by letter
    coalesce_and_scrub = 1  ///< and forgets deleted content: no undo and no history brings it back
};

/// What a YjsDocument takes of peers, and when it merges.
struct YjsDocumentOptions {
    /// Of one update of a peer.
    yjs::Limits limits{};
    /// Of the document, as `check` sees it: what is checked but not yet applied may come on top.
    std::size_t bytes_max = std::size_t{64} << 20;
    /// It merges when so many updates, or bytes of them, wait to be merged; of a large document
    /// when there is one for each KiB of it, or a quarter of its bytes, so that what merging costs
    /// stays in proportion to what comes.
    std::size_t pending_updates_max = 500;
    std::size_t pending_bytes_max = std::size_t{1} << 20;
    Compaction compaction = Compaction::coalesce;
};

/// What a YjsDocument is like now.
struct YjsDocumentStatus {
    std::size_t bytes = 0;            ///< merged, and waiting to be
    std::size_t pending_updates = 0;  ///< that wait to be merged
    std::size_t gaps = 0;             ///< ranges of clocks that it lacked when it was merged last
    std::size_t conflicts = 0;        ///< see yjs::Merged; of all merges since it was made
};

/// A Yjs document without a CRDT: one update, merged of all that came.
///
/// An edit costs its own bytes only: it waits in a list, until somebody joins (`state_vector`,
/// `diff`), the document is saved (`snapshot`), or the list is as long as the options allow.
///
/// Models:        DocumentLike, with state vectors.
/// Thread safety: distinct objects safe.
class YjsDocument {
public:
    YjsDocument() = default;
    /// Pre: options.limits.nesting_max <= yjs::nesting_ceiling; the pending ones allow one update.
    explicit YjsDocument(const YjsDocumentOptions& options) : options_{options} {
        BELAY_PRECONDITION(options.limits.nesting_max <= yjs::nesting_ceiling,
                           "YjsDocument: limits.nesting_max must be <= yjs::nesting_ceiling");
        BELAY_PRECONDITION(options.pending_updates_max > 0 && options.pending_bytes_max > 0,
                           "YjsDocument: the list of pending updates must have room for one");
    }

    /// Whether an update of a peer adds anything to what was merged last, or why it is refused:
    /// malformed, beyond a limit, or more than the document may hold.
    ///
    /// Complexity: O(m log n); merges before it says `document_full`.
    [[nodiscard]] Result<bool, yjs::UpdateError> check(BytesView update) {
        yjs::detail::Sources sources{{&update, 1}};
        if (auto error = yjs::detail::read_sources<true>(options_.limits, sources)) return error;
        if (known_.holds(sources)) return false;
        if (update.size() > room()) {
            merge();
            if (known_.holds(sources)) return false;
        }
        if (update.size() > room()) {
            return yjs::UpdateError{YjsErrc::document_full, 0, 0, "YjsDocumentOptions::bytes_max"};
        }
        return true;
    }

    /// Takes what was checked, or is part of a snapshot; refuses malformed bytes only.
    ///
    /// Complexity: O(m); O(n log n) when it merges.
    [[nodiscard]] yjs::UpdateError apply(BytesView update) {
        const auto summary = yjs::validate(update, yjs::Limits::none());
        if (!summary) return summary.error();
        if (summary->structs == 0 && summary->delete_ranges == 0) return {};
        pending_.emplace_back(update.begin(), update.end());
        pending_bytes_ += update.size();
        if (pending_.size() >= std::max(options_.pending_updates_max, merged_.size() / 1024) ||
            pending_bytes_ >= std::max(options_.pending_bytes_max, merged_.size() / 4)) {
            merge();
        }
        return {};
    }

    /// The one update that is the document; none of an empty one. Merges first.
    [[nodiscard]] std::span<const Bytes> snapshot() {
        merge();
        return {&merged_, merged_.empty() ? std::size_t{0} : std::size_t{1}};
    }

    /// What the document holds of each client. Merges first.
    [[nodiscard]] Bytes state_vector() {
        merge();
        return known_.state_vector();
    }

    /// The update that somebody lacks who has `state_vector`, `00 00` if nothing. Merges first.
    ///
    /// Errors: malformed_state_vector; update_too_large: it names more clients than there are in
    /// the document, and in an update at most.
    [[nodiscard]] Result<Bytes, yjs::UpdateError> diff(BytesView state_vector) {
        merge();
        yjs::detail::Clocks clocks;
        yjs::Limits limits = options_.limits;
        // Who has the document names all of its authors, however many updates they came in.
        limits.clients_max += std::min(known_.clients(), no_limit - limits.clients_max);
        if (auto error = yjs::detail::read_state_vector(state_vector, limits, clocks)) return error;
        if (merged_.empty()) return Bytes(2);
        if (clocks.empty()) return Bytes{merged_};
        const BytesView merged{merged_};
        yjs::detail::Sources sources = read(merged);
        return yjs::detail::diff_of(sources, clocks);
    }

    [[nodiscard]] std::size_t bytes() const noexcept { return merged_.size() + pending_bytes_; }
    [[nodiscard]] YjsDocumentStatus status() const noexcept {
        return {bytes(), pending_.size(), gaps_, conflicts_};
    }

private:
    [[nodiscard]] std::size_t room() const noexcept {
        return options_.bytes_max - std::min(options_.bytes_max, bytes());
    }

    /// Of bytes that were checked before. They, and the view of them, must outlive the result.
    [[nodiscard]] static yjs::detail::Sources read(const BytesView& update) {
        yjs::detail::Sources sources{{&update, 1}};
        const auto error = yjs::detail::read_sources<false>(yjs::Limits::none(), sources);
        BELAY_INVARIANT(!error, "YjsDocument: the bytes were checked");
        return sources;
    }

    void merge() {
        if (pending_.empty()) return;
        std::vector<BytesView> updates;
        updates.reserve(pending_.size() + 1);
        if (!merged_.empty()) updates.emplace_back(merged_);
        updates.insert(updates.end(), pending_.begin(), pending_.end());
        yjs::detail::Sources sources{updates};
        const auto error = yjs::detail::read_sources<false>(yjs::Limits::none(), sources);
        BELAY_INVARIANT(!error, "YjsDocument: the bytes were checked");
        yjs::detail::Merger merger{sources, options_.compaction == Compaction::coalesce};
        yjs::Merged merged = merger.run();
        merged_ = compacted(std::move(merged.update));
        if (merged_.capacity() - merged_.size() > merged_.size() / 8) merged_.shrink_to_fit();
        gaps_ = merged.gaps;
        conflicts_ += merged.conflicts;
        pending_.clear();
        pending_bytes_ = 0;
        known_ = yjs::detail::Coverage{merger.take_runs(), std::move(sources.deletes)};
    }

    /// What is joined already stays as it is.
    [[nodiscard]] Bytes compacted(Bytes update) const {
        if (options_.compaction == Compaction::coalesce) return update;
        {
            const BytesView whole{update};
            yjs::detail::Sources sources = read(whole);
            update = yjs::detail::scrubbed(sources);
        }
        const BytesView whole{update};
        yjs::detail::Sources sources = read(whole);
        return yjs::detail::coalesced(sources);
    }

    YjsDocumentOptions options_;
    Bytes merged_;
    std::vector<Bytes> pending_;
    std::size_t pending_bytes_ = 0;
    yjs::detail::Coverage known_;
    std::size_t gaps_ = 0;
    std::size_t conflicts_ = 0;
};

}}  // namespace belay
