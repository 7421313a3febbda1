// SPDX-License-Identifier: MIT
/// \file belay/queue/codec_like.hpp
/// CodecLike: converts a value to bytes, and bytes to a value.
#pragma once

#include <concepts>     // std::movable, std::same_as
#include <new>          // std::bad_alloc
#include <optional>     // std::optional
#include <type_traits>  // std::remove_cvref_t

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class C>
concept HasDecode = requires(C& codec, BytesView bytes) { codec.decode(bytes); };
template <class C>
concept DecodeGivesOptional = requires(C& codec, BytesView bytes) {
    requires is_optional<std::remove_cvref_t<decltype(codec.decode(bytes))>>;
};
/// The type that a codec decodes.
template <class C>
using DecodedBy = typename std::remove_cvref_t<decltype(std::declval<C&>().decode(
    std::declval<BytesView>()))>::value_type;
template <class C>
concept DecodesMovable = DecodeGivesOptional<C> && std::movable<DecodedBy<C>>;
template <class C>
concept HasEncode =
    DecodeGivesOptional<C> && requires(C& codec, const DecodedBy<C>& value, Bytes& into) {
        { codec.encode(value, into) } -> std::same_as<bool>;
    };

}  // namespace detail

/// Converts values of one type to bytes, and the bytes to values.
///
/// Semantics the compiler cannot check:
/// - `encode(const T&, Bytes& into)` writes the value into `into`, which is empty and keeps its
///   capacity from call to call. It returns false if there are no bytes for this value.
/// - `decode(BytesView) -> std::optional<T>` returns the value that was encoded, or nothing if the
///   bytes are not those of a value. The bytes may come from another version of the program, or be
///   damaged, so do not assume anything about them. The value must not refer to the bytes.
///
/// Both may throw; an exception counts as a rejection.
template <class C>
concept CodecLike = std::movable<C> && detail::HasDecode<C> && detail::DecodeGivesOptional<C> &&
                    detail::DecodesMovable<C> && detail::HasEncode<C>;

namespace detail {

/// Returns what a call of a codec returns, or `rejected` if it throws.   Throws: std::bad_alloc.
template <class Call, class Answer>
[[nodiscard]] Answer codec_answer(Call&& call, Answer rejected) {
#if defined(__cpp_exceptions)
    try {
        return call();
    } catch (const std::bad_alloc&) {
        throw;
    } catch (...) {
        return rejected;
    }
#else
    static_cast<void>(rejected);
    return call();
#endif
}

/// Returns the value that a codec decodes; nothing if the codec rejects the bytes, or throws.
///
/// Throws: std::bad_alloc.
template <CodecLike Codec>
[[nodiscard]] std::optional<DecodedBy<Codec>> decode_value(Codec& codec, BytesView bytes) {
    return codec_answer([&] { return codec.decode(bytes); }, std::optional<DecodedBy<Codec>>{});
}
/// Encodes a value into `into`, which is empty.
/// Returns: false if the codec rejects the value, or throws.   Throws: std::bad_alloc.
template <CodecLike Codec>
[[nodiscard]] bool encode_value(Codec& codec, const DecodedBy<Codec>& value, Bytes& into) {
    return codec_answer([&] { return codec.encode(value, into); }, false);
}

}  // namespace detail

namespace explain {

/// Names every requirement of CodecLike that C lacks.
template <class C>
consteval bool codec_like() {
    static_assert(std::movable<C>, "CodecLike: C must be movable");
    static_assert(detail::HasDecode<C>,
                  "CodecLike: C needs 'decode(BytesView) -> std::optional<T>'");
    if constexpr (detail::HasDecode<C>) {
        static_assert(detail::DecodeGivesOptional<C>,
                      "CodecLike: C::decode must return std::optional of the value");
    }
    if constexpr (detail::DecodeGivesOptional<C>) {
        static_assert(detail::DecodesMovable<C>,
                      "CodecLike: the result of C::decode must be movable");
        static_assert(detail::HasEncode<C>,
                      "CodecLike: C needs 'encode(const T&, Bytes& into) -> bool'");
    }
    return CodecLike<C>;
}

}  // namespace explain

}}  // namespace belay
