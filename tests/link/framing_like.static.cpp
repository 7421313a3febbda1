// SPDX-License-Identifier: MIT
// Goal: the smallest framing satisfies FramingLike. A framing with an omission, or with a call of
// another form, does not.
#include <belay/link/framings.hpp>

#include <belay/link/transport_like.hpp>

namespace {

using namespace belay;

struct Smallest {
    static part::Cut cut(BytesView, const part::CutHints&) noexcept { return part::Cut::more(); }
    static bool put(BytesView, Bytes&) { return false; }
};
struct ThrowsInCut : Smallest {
    static part::Cut cut(BytesView, const part::CutHints&) { return part::Cut::more(); }
};
struct ReportsNothingOfPut : Smallest {
    static void put(BytesView, Bytes&) {}
};
struct OtherPing : Smallest {
    static void put_ping() {}
};
struct OtherHeader : Smallest {
    static void put_header(std::size_t, Bytes&) {}
};
struct Pinned : Smallest {
    Pinned() = default;
    Pinned(const Pinned&) = delete;
};

static_assert(FramingLike<Smallest> && explain::framing_like<Smallest>());
static_assert(FramingLike<LengthPrefixed> && FramingLike<Lines>);
static_assert(!FramingLike<ThrowsInCut> && !FramingLike<ReportsNothingOfPut>);
static_assert(!FramingLike<OtherPing> && !FramingLike<OtherHeader> && !FramingLike<Pinned>);
static_assert(detail::PutsPing<LengthPrefixed> && !detail::PutsPing<Lines>);

// ---- whether a transport carries any bytes ------------------------------------------------------

template <class Framing, class Where = int>
struct StreamOver {
    using message_type = Bytes;
};
template <class Inner>
struct Wrapping {
    using message_type = Bytes;
    Inner inner;
};
struct WithoutBound {
    using message_type = Bytes;
};
/// A decorator that encodes any bytes as text.
template <class Inner>
struct Base64 : Wrapping<Inner> {
    static constexpr bool carries_any_bytes = true;
};
/// An argument that is no part of the transport.
template <class F>
struct Unrelated {};

static_assert(!detail::carries_any_bytes<Lines> && !detail::carries_any_bytes<Lines::WithPing>);
static_assert(detail::carries_any_bytes<LengthPrefixed>);
static_assert(detail::carries_any_bytes<Smallest> && detail::carries_any_bytes<WithoutBound>);
static_assert(!detail::carries_any_bytes<StreamOver<Lines>>);
static_assert(!detail::carries_any_bytes<StreamOver<Lines::WithPing, WithoutBound>>);
static_assert(detail::carries_any_bytes<StreamOver<LengthPrefixed>>);
static_assert(!detail::carries_any_bytes<Wrapping<Wrapping<StreamOver<Lines>>>>);
static_assert(detail::carries_any_bytes<Wrapping<Base64<StreamOver<Lines>>>>);
static_assert(detail::carries_any_bytes<Wrapping<Unrelated<Lines>>>);

// A ping is detected in each form: overloaded, private, or a template.
class PrivatePing : public Smallest {
    static void put_ping(Bytes&) {}
};
struct TwoPings : Smallest {
    static void put_ping() {}
    static void put_ping(int) {}
};
struct TemplateHeader : Smallest {
    template <class T>
    static bool put_header(T*, Bytes&) {
        return false;
    }
};
static_assert(!FramingLike<PrivatePing> && !FramingLike<TwoPings> && !FramingLike<TemplateHeader>);

}  // namespace
