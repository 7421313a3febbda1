// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_struct.hpp
/// Struct: one piece of content of a Yjs update, and how it is read.
#pragma once

#include <compare>      // std::strong_ordering
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/detail/json_text.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// The kinds of content, by their number in the format.
namespace ref {
enum Kind : std::uint8_t {
    gc = 0,
    deleted = 1,
    json = 2,
    binary = 3,
    string = 4,
    embed = 5,
    format = 6,
    type = 7,
    any = 8,
    doc = 9,
    skip = 10
};
}  // namespace ref

inline constexpr std::uint8_t ref_bits = 0x1F;
inline constexpr std::uint8_t has_parent_sub = 0x20;
inline constexpr std::uint8_t has_right_origin = 0x40;
inline constexpr std::uint8_t has_origin = 0x80;

struct Id {
    std::uint64_t client = 0;
    std::uint64_t clock = 0;
    friend constexpr auto operator<=>(const Id&, const Id&) noexcept = default;
};

/// A run of clocks of one client, with its content. Content that need not be understood stays in
/// the bytes of the update, which must outlive the struct.
struct Struct {
    std::uint64_t client = 0;
    std::uint64_t clock = 0;
    std::uint64_t len = 0;
    Id origin;
    Id right_origin;
    Id parent;                ///< the item of the shared type that holds this one
    bool has_parent = false;  ///< whether `parent` was read: no origin, and not in a root type
    const std::byte* begin = nullptr;
    const std::byte* content = nullptr;  ///< what follows the head: counts, lengths, values
    const std::byte* payload = nullptr;  ///< what follows the count or length; values alone
    const std::byte* end = nullptr;
    std::uint8_t info = 0;

    [[nodiscard]] std::uint8_t kind() const noexcept { return info & ref_bits; }
    [[nodiscard]] bool is_item() const noexcept { return kind() != ref::gc && kind() != ref::skip; }
    [[nodiscard]] bool has(std::uint8_t bits) const noexcept { return (info & bits) != 0; }
    [[nodiscard]] std::uint64_t clock_end() const noexcept { return clock + len; }
    /// Returns the first byte as Yjs writes it: with the flag of a key only if there is a key, too.
    [[nodiscard]] std::uint8_t written_info() const noexcept {
        if (!is_item()) return kind();
        const bool no_key = has(has_origin | has_right_origin);
        return no_key ? static_cast<std::uint8_t>(info & ~has_parent_sub) : info;
    }
    [[nodiscard]] BytesView raw() const noexcept { return {begin, end}; }
    /// Returns the origins or the parent, without the byte in front of them.
    [[nodiscard]] BytesView head() const noexcept { return {begin + 1, content}; }
    [[nodiscard]] BytesView values() const noexcept { return {payload, end}; }
};

/// Reads structs one by one. `checked` is true for the bytes of a peer. Otherwise the bytes were
/// checked before, and texts are skipped.
template <bool checked>
class StructReader {
public:
    StructReader(Lib0Reader& in, std::size_t nesting_max) noexcept
        : in_{in}, nesting_max_{nesting_max} {}

    /// Returns the guid of the subdocument that was read last, for a struct of kind `doc`.
    [[nodiscard]] std::string_view guid() const noexcept { return guid_; }

    [[nodiscard]] Struct read(Id at) noexcept {
        Struct s = read_place(at);
        s.payload = s.content;
        read_content(s);
        s.end = in_.position();
        if constexpr (checked) {
            if (in_.failed()) return s;
            if (s.len == 0) in_.fail("a struct has no length", s.begin);
            if (s.len > varuint_max - s.clock) in_.fail("a clock is beyond 2^53 - 1", s.begin);
        }
        return s;
    }

    /// Reads a struct as far as its content, which is neither read nor counted.
    [[nodiscard]] Struct read_place(Id at) noexcept {
        Struct s;
        s.client = at.client;
        s.clock = at.clock;
        s.begin = in_.position();
        s.info = in_.byte();
        // Yjs recognizes a gap by all bits in one place, and by these bits in another.
        if (s.kind() > ref::skip || (s.kind() == ref::skip && s.info != ref::skip)) {
            in_.fail("the number of the kind is unknown", s.begin, YjsErrc::unknown_content);
        }
        if (s.is_item()) read_head(s);
        s.content = in_.position();
        return s;
    }

private:
    std::string_view text() noexcept {
        if constexpr (checked) return in_.varstring();
        return as_text(in_.varbytes());
    }

    // Yjs throws an exception at every peer if an item refers to itself, or to a later item of its
    // client.
    Id id(const Struct& s) noexcept {
        const std::byte* const start = in_.position();
        Id other;
        other.client = in_.varuint();
        other.clock = in_.varuint();
        if constexpr (checked) {
            if (other.client == s.client && other.clock >= s.clock) {
                in_.fail("an item refers to itself, or to a later item of its client", start);
            }
        }
        return other;
    }

    void read_head(Struct& s) noexcept {
        if (s.has(has_origin)) s.origin = id(s);
        if (s.has(has_right_origin)) s.right_origin = id(s);
        if (s.has(has_origin | has_right_origin)) return;
        if (in_.varuint() == 1) {
            text();
        } else {
            s.parent = id(s);
            s.has_parent = true;
        }
        if (s.has(has_parent_sub)) text();
    }

    void read_content(Struct& s) noexcept {
        s.len = 1;
        switch (s.kind()) {
            case ref::gc:
            case ref::skip:
            case ref::deleted:
                s.len = in_.varuint();
                s.payload = in_.position();
                break;
            case ref::json:
            case ref::any:
                read_list(s);
                break;
            case ref::binary:
                static_cast<void>(in_.varbytes());
                break;
            case ref::string: {
                const std::string_view t = text();
                s.len = ::belay::detail::utf16_units(t);
                s.payload = in_.position() - t.size();
                break;
            }
            case ref::embed:
                json();
                break;
            case ref::format:
                text();
                json();
                break;
            case ref::type:
                read_type();
                break;
            case ref::doc:
                read_doc();
                break;
            default:
                break;
        }
    }

    void read_list(Struct& s) noexcept {
        s.len = in_.varuint();
        s.payload = in_.position();
        for (std::uint64_t i = 0; i < s.len && !in_.failed(); ++i) {
            if (s.kind() == ref::any) {
                in_.skip_any(nesting_max_);
            } else {
                json(true);
            }
        }
    }

    void json(bool may_be_undefined = false) noexcept {
        const std::byte* const start = in_.position();
        const std::string_view t = text();
        if constexpr (checked) {
            using JsonText = ::belay::detail::JsonText<>;
            if (in_.failed() || (may_be_undefined && t == "undefined")) return;
            switch (JsonText::of(t, nesting_max_)) {
                case JsonText::Verdict::json:
                    return;
                case JsonText::Verdict::other:
                    return in_.fail("a text is not JSON", start);
                case JsonText::Verdict::too_deep:
                    return in_.fail("values are nested too deeply", start,
                                    YjsErrc::update_too_large);
            }
        }
    }

    void read_type() noexcept {
        const std::byte* const start = in_.position();
        const std::uint64_t t = in_.varuint();
        if (t > 6)
            in_.fail("the number of a shared type is unknown", start, YjsErrc::unknown_content);
        if (t == 3 || t == 5) text();  // XmlElement, XmlHook: their names
    }

    // Yjs makes a document from the options as they are. A guid among them would count instead of
    // the guid that was authorized.
    void read_doc() noexcept {
        guid_ = text();
        const std::byte* const start = in_.position();
        if constexpr (!checked) return in_.skip_any(nesting_max_);
        if (in_.byte() != 118) return in_.fail("a subdocument has no options", start);
        if (nesting_max_ == 0) {
            return in_.fail("values are nested too deeply", start, YjsErrc::update_too_large);
        }
        const std::uint64_t count = in_.varuint();
        for (std::uint64_t i = 0; i < count && !in_.failed(); ++i) {
            const std::string_view key = text();
            if (key == "guid" || key == "gcFilter") {
                in_.fail("the options of a subdocument replace its guid or its code", start);
            }
            in_.skip_any(nesting_max_ - 1);
        }
    }

    Lib0Reader& in_;
    std::size_t nesting_max_;
    std::string_view guid_;
};

}}}  // namespace belay::yjs::detail
