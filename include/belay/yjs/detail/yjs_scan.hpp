// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_scan.hpp
/// scan: reads an update once, checks all of it, and records where its parts are.
#pragma once

#include <algorithm>  // std::sort, std::adjacent_find, std::remove_if, std::min
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <vector>     // std::vector

#include <belay/yjs/detail/yjs_struct.hpp>
#include <belay/yjs/yjs_error.hpp>
#include <belay/yjs/yjs_limits.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// The structs of one client in one update. They are not copied, but read again in place.
struct Block {
    std::uint64_t client = 0;
    std::uint64_t clock = 0;  ///< of the struct at `at`
    const std::byte* at = nullptr;
    std::uint32_t structs = 0;  ///< how many there are from `at` on
    std::uint32_t update = 0;
};

struct DeleteRange {
    std::uint64_t client = 0;
    std::uint64_t clock = 0;
    std::uint64_t len = 0;
    [[nodiscard]] std::uint64_t clock_end() const noexcept { return clock + len; }
};

/// The result of reading an update.
struct Scan {
    Summary summary;
    const std::byte* deletes = nullptr;  ///< where the delete set begins
};

/// Returns how many blocks an update has at most: each takes three bytes or more.
[[nodiscard]] inline std::size_t blocks_at_most(BytesView update) noexcept {
    Lib0Reader in{update};
    const std::uint64_t count = in.varuint();
    return static_cast<std::size_t>(std::min<std::uint64_t>(count, in.left() / 3));
}

/// Returns whether bytes that are not an update of version 1 have the frame of one of version 2.
/// That is a 0, and then nine columns, each after its length.
[[nodiscard]] inline bool has_frame_of_version_2(BytesView update) noexcept {
    Lib0Reader in{update};
    if (update.size() < 12 || in.byte() != 0) return false;
    for (int column = 0; column < 9; ++column) in.varbytes();
    return !in.failed();
}

template <bool checked>
class Scanner {
public:
    Scanner(BytesView update, const Limits& limits, std::vector<Block>& blocks)
        : update_{update},
          in_{update},
          structs_{in_, limits.nesting_max},
          limits_{limits},
          blocks_{blocks} {
        BELAY_OPTION(limits.nesting_max <= nesting_ceiling,
                     "yjs::Limits: nesting_max must be <= nesting_ceiling");
    }

    /// Appends the blocks of the update, which is number `update` of several.
    [[nodiscard]] UpdateError run(std::size_t update, Scan& scan) {
        if (update_.size() > limits_.bytes_max) {
            return {YjsErrc::update_too_large, update, 0, "more bytes than Limits::bytes_max"};
        }
        read_blocks(static_cast<std::uint32_t>(update), scan.summary);
        scan.deletes = in_.position();
        read_deletes(scan.summary);
        if constexpr (checked) {
            if (!in_.failed() && !in_.at_end()) {
                in_.fail("there are bytes after the end of the update", in_.position());
            }
            if (!in_.failed()) return {};
            const bool other =
                in_.error() == YjsErrc::malformed_update || in_.error() == YjsErrc::unknown_content;
            if (other && has_frame_of_version_2(update_)) {
                return {YjsErrc::version_2_update, update, 0,
                        "the bytes have the structure of a version 2 update"};
            }
            return {in_.error(), update, in_.offset(), in_.what()};
        }
        return {};
    }

private:
    void too_many(const char* what, const std::byte* at) noexcept {
        in_.fail(what, at, YjsErrc::update_too_large);
    }

    void read_blocks(std::uint32_t update, Summary& summary) {
        const std::size_t first = blocks_.size();
        const std::byte* const start = in_.position();
        const std::uint64_t count = in_.varuint();
        if (count > limits_.clients_max) too_many("more clients than Limits::clients_max", start);
        for (std::uint64_t i = 0; i < count && !in_.failed(); ++i) {
            const std::byte* const at = in_.position();
            const std::uint64_t structs = in_.varuint();
            const std::size_t before = summary.structs + summary.skips;
            if (structs > limits_.structs_max - before || structs > 0xFFFFFFFFU) {
                return too_many("more structs than Limits::structs_max", at);
            }
            Block block;
            block.update = update;
            block.client = in_.varuint();
            block.clock = in_.varuint();
            block.at = in_.position();
            block.structs = static_cast<std::uint32_t>(structs);
            blocks_.push_back(block);
            read_structs(block, summary);
        }
        if (checked && !in_.failed()) reject_repeated(first, start);
        const auto own = blocks_.begin() + static_cast<std::ptrdiff_t>(first);
        const auto is_empty = [](const Block& b) { return b.structs == 0; };
        blocks_.erase(std::remove_if(own, blocks_.end(), is_empty), blocks_.end());
    }

    void read_structs(const Block& block, Summary& summary) {
        std::uint64_t clock = block.clock;
        const std::size_t before = summary.structs;
        for (std::uint32_t i = 0; i < block.structs && !in_.failed(); ++i) {
            const Struct s = structs_.read({block.client, clock});
            clock += s.len;
            if (s.kind() == ref::skip) {
                ++summary.skips;
                continue;
            }
            ++summary.structs;
            if (checked && s.kind() == ref::doc) summary.subdocuments.push_back(structs_.guid());
        }
        if (summary.structs == before) return;
        ++summary.clients;
        if (block.clock != 0) ++summary.late_starts;
    }

    // If a client is there twice, Yjs reads only the last part.
    void reject_repeated(std::size_t first, const std::byte* start) {
        const auto begin = blocks_.begin() + static_cast<std::ptrdiff_t>(first);
        const auto rises = [](const Block& a, const Block& b) { return a.client <= b.client; };
        if (std::adjacent_find(begin, blocks_.end(), rises) == blocks_.end()) return;
        std::vector<std::uint64_t> clients;
        clients.reserve(blocks_.size() - first);
        for (auto b = begin; b != blocks_.end(); ++b) clients.push_back(b->client);
        std::sort(clients.begin(), clients.end());
        if (std::adjacent_find(clients.begin(), clients.end()) != clients.end()) {
            in_.fail("a client occurs twice", start);
        }
    }

    void read_deletes(Summary& summary) noexcept {
        const std::uint64_t clients = in_.varuint();
        for (std::uint64_t i = 0; i < clients && !in_.failed(); ++i) {
            in_.varuint();
            const std::byte* const at = in_.position();
            const std::uint64_t ranges = in_.varuint();
            if (ranges > limits_.delete_ranges_max - summary.delete_ranges) {
                return too_many("more ranges than Limits::delete_ranges_max", at);
            }
            for (std::uint64_t r = 0; r < ranges && !in_.failed(); ++r) {
                const std::byte* const range = in_.position();
                const std::uint64_t clock = in_.varuint();
                const std::uint64_t len = in_.varuint();
                if (len == 0) in_.fail("a deleted range has no length", range);
                if (len > varuint_max - clock) in_.fail("a clock is beyond 2^53 - 1", range);
                ++summary.delete_ranges;
            }
        }
    }

    BytesView update_;
    Lib0Reader in_;
    StructReader<checked> structs_;
    const Limits& limits_;
    std::vector<Block>& blocks_;
};

/// Reads the client blocks of an update. If it is `checked`, all of it is checked.
template <bool checked>
[[nodiscard]] UpdateError scan(BytesView update, const Limits& limits, std::size_t number,
                               std::vector<Block>& blocks, Scan& found) {
    return Scanner<checked>{update, limits, blocks}.run(number, found);
}

/// Calls `f` with each range of a delete set that was checked before.   Complexity: O(bytes).
template <class F>
void for_each_delete_range(BytesView delete_set, F&& f) {
    Lib0Reader in{delete_set};
    for (std::uint64_t clients = in.varuint(); clients > 0; --clients) {
        const std::uint64_t client = in.varuint();
        for (std::uint64_t n = in.varuint(); n > 0; --n) {
            DeleteRange range{client, in.varuint(), 0};
            range.len = in.varuint();
            f(range);
        }
    }
    BELAY_INVARIANT(!in.failed(), "for_each_delete_range: the bytes must have been checked");
}

}}}  // namespace belay::yjs::detail
