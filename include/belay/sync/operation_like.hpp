// SPDX-License-Identifier: MIT
/// \file belay/sync/operation_like.hpp
/// OperationLike: the requirements of a processor on the type of an operation.
#pragma once

#include <concepts>     // std::convertible_to, std::copyable
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <optional>     // std::optional
#include <string_view>  // std::hash, std::string_view
#include <type_traits>  // std::is_enum_v, std::is_integral_v, std::is_lvalue_reference_v

#include <belay/core/bytes.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/random.hpp>
#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The kind of an operation.
enum class OperationKind : std::uint8_t {
    add,         ///< adds a whole element, whether it exists or not
    update,      ///< changes an element; it creates one only if its author names what it saw
    remove,      ///< removes an element
    interaction  ///< an event: it is reported, and never replayed
};

/// Returns the name of a kind, as in the enumeration.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view to_string(OperationKind kind) noexcept {
    constexpr std::string_view names[] = {"add", "update", "remove", "interaction"};
    return detail::name_of(kind, names);
}

namespace detail {

BELAY_DETAIL_MEMBER(base);
BELAY_DETAIL_MEMBER(saw);
BELAY_DETAIL_MEMBER(formerly);

[[nodiscard]] constexpr std::uint64_t mix_word(std::uint64_t hash, std::uint64_t word) noexcept {
    constexpr std::uint64_t factor = 0xD6E8FEB86659FD93U;
    const Product p = multiply(hash ^ word, factor);
    return p.high ^ p.low ^ factor;
}
/// Returns a hash that is the same on every machine, to recognise bytes that were seen before.
///
/// Do not use it for secrets, or against an attacker who searches for collisions.
[[nodiscard]] inline std::uint64_t hash_bytes(BytesView bytes, std::uint64_t hash) noexcept {
    const auto mix = [&](std::uint64_t word) { hash = mix_word(hash, word); };
    std::size_t i = 0;
    for (; bytes.size() - i >= 8; i += 8) mix(load_le<std::uint64_t>(bytes.data() + i));
    // The length and the remaining bytes, the first byte highest.
    std::uint64_t tail = bytes.size();
    if (i != 0 && i < bytes.size()) {
        const std::size_t bits = 8 * (bytes.size() - i);
        const std::uint64_t last =
            __builtin_bswap64(load_le<std::uint64_t>(bytes.data() + bytes.size() - 8));
        tail = tail << bits | (last & ((std::uint64_t{1} << bits) - 1));
        i = bytes.size();
    }
    for (; i < bytes.size(); ++i) tail = tail << 8 | std::to_integer<std::uint64_t>(bytes[i]);
    mix(tail);
    return mix64(hash ^ bytes.size());
}
/// Returns hash_bytes() of an id, without its loops.
[[nodiscard]] inline std::uint64_t hash_id(const Id& id, std::uint64_t hash) noexcept {
    hash = mix_word(hash, load_le<std::uint64_t>(id.data()));
    hash = mix_word(hash, load_le<std::uint64_t>(id.data() + 8));
    return mix64(mix_word(hash, sizeof(Id)) ^ sizeof(Id));
}

/// The hash of the texts in a table of this process, which std::string_view can look up.
struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
        return std::hash<std::string_view>{}(text);
    }
};

template <class V>
concept HashesItself = requires(const V& value) {
    { content_hash(value) } -> std::convertible_to<std::uint64_t>;
};
template <class V>
concept HashedByBelay =
    std::is_integral_v<V> || std::is_enum_v<V> || std::convertible_to<const V&, std::string_view> ||
    std::convertible_to<const V&, BytesView>;
template <class V>
concept IsMap = requires(const V& map) {
    typename V::key_type;
    typename V::mapped_type;
    map.begin()->second;
    map.size();
};
template <class V>
inline constexpr bool is_content_hashable = HashesItself<V> || HashedByBelay<V>;
template <class V>
    requires(IsMap<V> && !HashesItself<V> && !HashedByBelay<V>)
inline constexpr bool is_content_hashable<V> =
    is_content_hashable<typename V::key_type> && is_content_hashable<typename V::mapped_type>;
template <class V>
concept ContentHashable = is_content_hashable<V>;

template <ContentHashable V>
[[nodiscard]] std::uint64_t hash_of_value(const V& value, std::uint64_t hash) {
    if constexpr (HashesItself<V>) {
        return mix64(hash ^ static_cast<std::uint64_t>(content_hash(value)));
    } else if constexpr (!HashedByBelay<V>) {
        // Equal maps may iterate in different orders, so the order of the entries must not count.
        std::uint64_t entries = 0;
        for (const auto& [key, field] : value) {
            entries += hash_of_value(field, hash_of_value(key, 0));
        }
        return mix64(mix_word(hash, entries) ^ value.size());
    } else if constexpr (std::is_integral_v<V> || std::is_enum_v<V>) {
        return mix64(hash ^ static_cast<std::uint64_t>(value));
    } else if constexpr (std::convertible_to<const V&, std::string_view>) {
        return hash_bytes(as_bytes(std::string_view{value}), hash);
    } else {
        return hash_bytes(BytesView{value}, hash);
    }
}

}  // namespace detail

namespace part {

/// Returns a hash of the fields of a value, for its content_hash.
///
///     std::uint64_t content_hash(const Note& note) {
///         return belay::part::hash_fields(note.title, note.done);
///     }
///
/// A field is an integer, an enum, a text, bytes, a map of these, or a value that has a
/// content_hash itself. The hash is the same on every machine and in every build. It depends on the
/// order of the fields, and not on the order in which a map iterates.
/// Complexity: linear in the fields.
template <detail::ContentHashable... Fields>
    requires(sizeof...(Fields) > 0)
[[nodiscard]] std::uint64_t hash_fields(const Fields&... fields) {
    std::uint64_t hash = sizeof...(Fields);
    ((hash = detail::hash_of_value(fields, detail::mix64(hash))), ...);
    return hash;
}

}  // namespace part

namespace detail {

template <class O>
concept NamesItsValue = requires { typename O::value_type; };
template <class O>
concept HasId = requires(const O& operation) {
    { operation.id } -> std::convertible_to<const Id&>;
};
template <class O>
concept HasStamp = requires(const O& operation) {
    { operation.stamp } -> std::convertible_to<const Stamp&>;
};
template <class O>
concept HasKind = requires(const O& operation) {
    { operation.kind() } noexcept -> std::same_as<OperationKind>;
};
// A text that is returned by value would be destroyed before the view of it is used.
template <class R>
concept ViewOfText = std::convertible_to<R, std::string_view> &&
                     (std::is_lvalue_reference_v<R> || std::is_pointer_v<R> ||
                      std::same_as<std::remove_cv_t<R>, std::string_view>);
template <class O>
concept HasElement = requires(const O& operation) {
    { operation.element() } noexcept -> ViewOfText;
};
template <class O>
concept HasValue = NamesItsValue<O> && requires(const O& operation) {
    { operation.value() } -> std::same_as<const typename O::value_type&>;
};
template <class O>
concept HasBase = NamesItsValue<O> && requires(const O& operation) {
    { operation.base() } -> std::same_as<const typename O::value_type*>;
};
template <class O>
concept HasSaw = requires(const O& operation) {
    { (operation.saw) } -> std::same_as<const std::optional<Stamp>&>;
};
template <class O>
concept HasFormerly = requires(const O& operation) {
    { (operation.formerly) } -> std::same_as<const Id&>;
};
// Operation has it: its Interactions have a text, and no value.
template <class O>
concept HasWhatHappened = requires(const O& operation) {
    { what_happened(operation) } noexcept -> std::same_as<std::string_view>;
};
// Without this check, a `base` with another signature would be ignored without an error.
template <class O>
concept BaseIsRight = HasBase<O> || !has_base<O>;
template <class O>
concept SawIsRight = HasSaw<O> || !has_saw<O>;
template <class O>
concept FormerlyIsRight = HasFormerly<O> || !has_formerly<O>;
template <class O>
concept ValueHashable = NamesItsValue<O> && ContentHashable<typename O::value_type>;

}  // namespace detail

/// An operation on one element of a session: Operation, or a type of your own.
///
/// - `value_type`: the type of an element; copyable. belay hashes values to detect that two
///   operations use one id. It hashes integers, texts, bytes and maps of them. For other types,
///   declare `content_hash(const value_type&)` in your namespace, which returns a std::uint64_t;
///   see part::hash_fields. Equal values must have equal hashes on every machine and in every
///   build, because stores keep the hashes. So std::hash will not do.
/// - `id`: its Id, which no other operation of any client has.
/// - `stamp`: its Stamp.
/// - `kind() const noexcept -> OperationKind`.
/// - `element() const noexcept`: the id of the element, as a std::string_view of data in the
///   operation.
/// - `value() const -> const value_type&`: the element (add), or its new value (update); not called
///   for other kinds.
/// - optional: `base() const -> const value_type*`: the value that the client changed, or null;
///   used by strategies that merge. It is hashed, too.
/// - optional: `saw`: a std::optional<Stamp>, the stamp of the version of the element that its
///   author changed; Stamp{} if the element was absent. It is hashed, too.
/// - optional: `formerly`: an Id, the first one of an operation that was stamped anew, or no_id.
template <class O>
concept OperationLike = std::copyable<O> && detail::NamesItsValue<O> && detail::HasId<O> &&
                        detail::HasStamp<O> && detail::HasKind<O> && detail::HasElement<O> &&
                        detail::HasValue<O> && detail::ValueHashable<O> && detail::BaseIsRight<O> &&
                        detail::SawIsRight<O> && detail::FormerlyIsRight<O>;

namespace explain {

/// Names every requirement of OperationLike that O lacks.
template <class O>
consteval bool operation_like() {
    static_assert(std::copyable<O>, "OperationLike: O must be copyable");
    static_assert(detail::NamesItsValue<O>, "OperationLike: O needs a value_type");
    static_assert(detail::HasId<O>, "OperationLike: O needs a member 'belay::Id id'");
    static_assert(detail::HasStamp<O>, "OperationLike: O needs a member 'belay::Stamp stamp'");
    static_assert(detail::HasKind<O>,
                  "OperationLike: O needs 'belay::OperationKind kind() const noexcept'");
    static_assert(detail::HasElement<O>,
                  "OperationLike: O needs 'std::string_view element() const noexcept'");
    static_assert(detail::BaseIsRight<O>,
                  "OperationLike: O's base must be 'const value_type* base() const'");
    static_assert(detail::SawIsRight<O>,
                  "OperationLike: O's saw must be 'std::optional<belay::Stamp> saw'");
    static_assert(detail::FormerlyIsRight<O>,
                  "OperationLike: O's formerly must be 'belay::Id formerly'");
    if constexpr (detail::NamesItsValue<O>) {
        static_assert(detail::HasValue<O>,
                      "OperationLike: O needs 'const value_type& value() const'");
        static_assert(detail::ValueHashable<O>,
                      "OperationLike: the value needs 'std::uint64_t content_hash(const "
                      "value_type&)' in its namespace; belay::part::hash_fields makes one of its "
                      "fields. For a type of std, derive a struct of your own");
    }
    return OperationLike<O>;
}

}  // namespace explain

namespace detail {

// True for a part that is named, and neither passed by reference nor moved in.
template <class P>
inline constexpr bool copies_a_part =
    std::is_lvalue_reference_v<P> && !Reference<std::remove_cvref_t<P>>;

inline constexpr std::optional<Stamp> no_version_seen{};

/// Returns the version that the author of an operation changed; none if it is not known. The result
/// refers to the operation.
template <OperationLike O>
[[nodiscard]] const std::optional<Stamp>& version_seen_by(const O& operation) noexcept {
    if constexpr (HasSaw<O>) {
        if (operation.kind() != OperationKind::interaction) return operation.saw;
    }
    return no_version_seen;
}

/// Returns whether an operation had another id before it was stamped anew.
template <OperationLike O>
[[nodiscard]] bool has_former_id(const O& operation) noexcept {
    if constexpr (HasFormerly<O>) return !is_no_id(operation.formerly);
    return false;
}

/// Returns a hash that distinguishes the contents of an operation from other contents.
template <OperationLike O>
[[nodiscard]] std::uint64_t hash_of_operation(const O& operation) {
    const OperationKind kind = operation.kind();
    const Stamp& stamp = operation.stamp;
    std::uint64_t hash =
        mix64(static_cast<std::uint64_t>(stamp.wall.time_since_epoch().count()) ^
              (std::uint64_t{stamp.counter} << 2U | static_cast<std::uint64_t>(kind)));
    hash = hash_id(stamp.origin, hash);
    hash = hash_bytes(as_bytes(std::string_view{operation.element()}), hash);
    if (kind == OperationKind::add || kind == OperationKind::update) {
        hash = hash_of_value(operation.value(), hash);
    }
    if constexpr (HasBase<O>) {
        const auto* base = kind == OperationKind::update ? operation.base() : nullptr;
        if (base != nullptr) hash = hash_of_value(*base, mix64(hash));
    }
    if (const std::optional<Stamp>& saw = version_seen_by(operation)) {
        hash = mix64(hash ^ static_cast<std::uint64_t>(saw->wall.time_since_epoch().count()));
        hash = hash_id(saw->origin, hash ^ saw->counter);
    }
    if constexpr (HasWhatHappened<O>) {
        if (kind == OperationKind::interaction) {
            hash = hash_bytes(as_bytes(what_happened(operation)), hash);
        }
    }
    return hash;
}

}  // namespace detail

}}  // namespace belay
