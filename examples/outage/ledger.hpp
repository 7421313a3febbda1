// SPDX-License-Identifier: MIT
/// \file outage/ledger.hpp
/// FileLedger: a text file in which each delivered operation is a line, and carries the progress.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <belay/session/ledger_like.hpp>

#include "files.hpp"

namespace outage {

/// The effect of an operation is its line in `ledger.txt`; progress is derived from the lines, so
/// that effect and progress are one write, and cannot disagree.
///
///     # belay outage ledger 1
///     # store <id>
///     # adopt <sender> <journal> <attach> <applied> <check>
///     <number> <attach> <check><TAB><the line, to the byte>
///
/// The check folds all lines before it and this one (belay/journal/journal_format.hpp), so that reading the
/// file proves every byte of it. One ledger serves one sender: the first that comes.
///
/// Models:        belay::LedgerLike, move-only.
/// Thread safety: one thread.
class FileLedger {
public:
    /// Opens the ledger in a directory, or makes one. A last line without its end, which a crash
    /// leaves, is cut off; nothing of it was acknowledged.
    ///
    /// Throws: Rejection if another process has it open, if it cannot be read or written, or if it
    ///         is damaged; then nothing has been changed.
    [[nodiscard]] static FileLedger open(const std::string& directory);

    // ---- LedgerLike ----------------------------------------------------------------------------

    [[nodiscard]] const belay::Id& store_id() const noexcept { return state_->store; }
    [[nodiscard]] std::optional<belay::Progress> progress(const belay::Id& sender) const {
        return sender == state_->sender ? state_->progress : std::nullopt;
    }
    [[nodiscard]] std::error_code adopt(const belay::Id& sender, const belay::Progress& progress);
    /// Errors: invalid_argument for an operation that is no line.
    [[nodiscard]] std::error_code apply(const belay::Id& sender, const belay::Progress& progress,
                                        belay::BytesView operation);
    [[nodiscard]] std::error_code commit();

    // ---- for the server ------------------------------------------------------------------------

    /// The sender whose ledger this is; no_id before the first. The reference stays valid.
    [[nodiscard]] const belay::Id& owner() const noexcept { return state_->sender; }
    [[nodiscard]] std::uint64_t delivered() const noexcept {
        return state_->progress ? state_->progress->applied : 0;
    }
    [[nodiscard]] const std::string& path() const noexcept { return state_->path; }
    /// How many bytes of a torn last line were cut off by open().
    [[nodiscard]] std::size_t cut_bytes() const noexcept { return state_->cut_bytes; }

private:
    struct State {
        std::string path;
        belay::posix::Files::Lock lock;
        belay::posix::Files::File file;
        std::uint64_t size = 0;
        std::size_t cut_bytes = 0;
        belay::Id store{};
        belay::Id sender{};
        std::optional<belay::Progress> progress{};
        std::string unwritten{};
    };
    class Reader;

    explicit FileLedger(std::unique_ptr<State> state) noexcept : state_{std::move(state)} {}

    std::unique_ptr<State> state_;
};

}  // namespace outage
