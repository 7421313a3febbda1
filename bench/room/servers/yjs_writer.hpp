// SPDX-License-Identifier: MIT
// The updates that an editor of Yjs would send.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <belay/yjs/lib0.hpp>

namespace room_bench {

using belay::Bytes;
using belay::BytesView;

/// One editor, who writes a text, or sets one key again and again.
class YjsWriter {
public:
    explicit YjsWriter(std::uint64_t id) noexcept : id_{id} {}

    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
    /// The update that appends so much, of ASCII.
    [[nodiscard]] Bytes type(std::string_view text) {
        Bytes out = begun(4, "text", {});
        belay::yjs::append_varbytes(out, belay::as_bytes(text));
        clock_ += text.size();
        put(out, {0});
        return out;
    }
    /// The update that sets the key, and deletes what it was.
    [[nodiscard]] Bytes set(std::string_view value) {
        Bytes out = begun(8, "map", "key");
        put(out, {1, 119});
        belay::yjs::append_varbytes(out, belay::as_bytes(value));
        if (clock_++ == 0) {
            put(out, {0});
        } else {
            put(out, {1, id_, 1, clock_ - 2, 1});
        }
        return out;
    }
    /// A text of which single letters were deleted, everywhere.
    [[nodiscard]] Bytes text_with_holes(std::size_t bytes, std::size_t holes) {
        Bytes out = type(std::string(bytes, 'x'));
        out.pop_back();
        put(out, {1, id_, holes});
        for (std::size_t i = 0; i < holes; ++i) put(out, {i * (bytes / holes), 1});
        return out;
    }
    [[nodiscard]] Bytes awareness(std::string_view state) {
        Bytes out;
        put(out, {1, id_, ++awareness_clock_});
        belay::yjs::append_varbytes(out, belay::as_bytes(state));
        return out;
    }

private:
    static void put(Bytes& out, std::initializer_list<std::uint64_t> numbers) {
        for (const std::uint64_t n : numbers) belay::yjs::append_varuint(out, n);
    }
    /// One struct behind what was before, up to its content.
    [[nodiscard]] Bytes begun(unsigned content, std::string_view parent,
                              std::string_view key) const {
        Bytes out;
        put(out, {1, 1, id_, clock_});
        const unsigned keyed = key.empty() ? 0U : 0x20U;
        if (clock_ != 0) {
            out.push_back(static_cast<std::byte>(0x80U | keyed | content));
            put(out, {id_, clock_ - 1});
            return out;
        }
        out.push_back(static_cast<std::byte>(keyed | content));
        put(out, {1});
        belay::yjs::append_varbytes(out, belay::as_bytes(parent));
        if (!key.empty()) belay::yjs::append_varbytes(out, belay::as_bytes(key));
        return out;
    }

    std::uint64_t id_;
    std::uint64_t clock_ = 0;
    std::uint64_t awareness_clock_ = 0;
};

}  // namespace room_bench
