// SPDX-License-Identifier: MIT
/// \file belay/posix/tcp.hpp
/// posix::Tcp: a transport over TCP that carries whole messages.
#pragma once

#include <concepts>  // std::same_as, std::derived_from
#include <utility>   // std::move

#include <belay/link/transport_like.hpp>
#include <belay/posix/detail/tcp_connection.hpp>
#include <belay/posix/resolver.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

namespace detail {
/// Of a Tcp that is told where to dial at each attempt.
struct Anywhere {};
}  // namespace detail

/// Dials an endpoint; messages are Bytes, framed as `Framing` says: with their length in front, or
/// `Tcp{loop, server, Lines{.bytes_max = 4096}}`.
///
/// Non-blocking, but for the look-up of names, which needs a Resolver for that:
/// `Tcp{loop, resolver, server}`. A name with several addresses is tried at one after the other, as
/// the system orders them (no "happy eyeballs": not two at once), within the attempt's limit.
/// Without an endpoint, `Tcp{loop}` or `Tcp{loop, resolver}`, it goes into an Endpoints. Limits
/// hold in both directions: a peer that sends too much in one message, or garbage, is closed with
/// Cause::protocol.
///
/// Wrap it in a Heartbeat: TCP alone does not notice a peer that is frozen or cut off.
///
/// Models:        TransportLike, if it has an endpoint; its connections have close(),
///                resume_reading(), limit_messages(), limit_output(), and ping() where the framing
///                has one.
/// Thread safety: the loop's thread. The loop, and the resolver, must live as long as connections
///                are opened.
/// Format:        docs/posix.md, "Frames".
template <FramingLike Framing = LengthPrefixed, class Where = Endpoint>
class Tcp {
    static constexpr bool is_fixed = std::same_as<Where, Endpoint>;

public:
    using message_type = Bytes;

    Tcp(Poller& loop, Endpoint endpoint, Framing framing = {}, TcpOptions options = {})
        requires is_fixed
        : Tcp{loop, nullptr, std::move(endpoint), std::move(framing), options} {}
    Tcp(Poller& loop, Endpoint endpoint, TcpOptions options)
        requires(is_fixed && std::default_initializable<Framing>)
        : Tcp{loop, nullptr, std::move(endpoint), Framing{}, options} {}
    Tcp(Poller& loop, detail::BasicResolver& resolver, Endpoint endpoint, Framing framing = {},
        TcpOptions options = {})
        requires is_fixed
        : Tcp{loop, &resolver, std::move(endpoint), std::move(framing), options} {}
    explicit Tcp(Poller& loop, Framing framing = {}, TcpOptions options = {})
        requires(!is_fixed)
        : Tcp{loop, nullptr, Where{}, std::move(framing), options} {}
    Tcp(Poller& loop, detail::BasicResolver& resolver, Framing framing = {},
        TcpOptions options = {})
        requires(!is_fixed)
        : Tcp{loop, &resolver, Where{}, std::move(framing), options} {}

    /// Starts to connect; reports by `link`.   Throws: std::bad_alloc.
    [[nodiscard]] TcpConnection<Framing> open(const Link<Bytes>& link)
        requires is_fixed
    {
        return {*poller_, endpoint_, framing_, options_, link, resolver_};
    }
    /// The same, to the endpoint that an Endpoints has chosen.
    [[nodiscard]] TcpConnection<Framing> open(const Link<Bytes>& link, const Endpoint& endpoint)
        requires(!is_fixed)
    {
        return {*poller_, endpoint, framing_, options_, link, resolver_};
    }

    [[nodiscard]] const Endpoint& endpoint() const noexcept
        requires is_fixed
    {
        return endpoint_;
    }
    /// Where the next attempt goes.
    void set_endpoint(Endpoint endpoint) noexcept
        requires is_fixed
    {
        endpoint_ = std::move(endpoint);
    }

private:
    Tcp(Poller& loop, detail::BasicResolver* resolver, Where where, Framing framing,
        TcpOptions options)
        : poller_{&loop},
          resolver_{resolver},
          endpoint_{std::move(where)},
          framing_{std::move(framing)},
          options_{options} {}

    Poller* poller_;
    detail::BasicResolver* resolver_;
    [[no_unique_address]] Where endpoint_;
    Framing framing_;
    TcpOptions options_;
};

namespace detail {
template <class R>
concept IsResolver = std::derived_from<R, BasicResolver>;
}  // namespace detail

template <class Loop>
Tcp(Loop&, Endpoint) -> Tcp<>;
template <class Loop>
Tcp(Loop&, Endpoint, TcpOptions) -> Tcp<>;
template <class Loop, FramingLike Framing>
Tcp(Loop&, Endpoint, Framing) -> Tcp<Framing>;
template <class Loop, FramingLike Framing>
Tcp(Loop&, Endpoint, Framing, TcpOptions) -> Tcp<Framing>;
template <class Loop, detail::IsResolver R>
Tcp(Loop&, R&, Endpoint) -> Tcp<>;
template <class Loop, detail::IsResolver R, FramingLike Framing>
Tcp(Loop&, R&, Endpoint, Framing) -> Tcp<Framing>;
template <class Loop, detail::IsResolver R, FramingLike Framing>
Tcp(Loop&, R&, Endpoint, Framing, TcpOptions) -> Tcp<Framing>;
template <class Loop>
Tcp(Loop&) -> Tcp<LengthPrefixed, detail::Anywhere>;
template <class Loop, FramingLike Framing>
Tcp(Loop&, Framing) -> Tcp<Framing, detail::Anywhere>;
template <class Loop, FramingLike Framing>
Tcp(Loop&, Framing, TcpOptions) -> Tcp<Framing, detail::Anywhere>;
template <class Loop, detail::IsResolver R>
Tcp(Loop&, R&) -> Tcp<LengthPrefixed, detail::Anywhere>;
template <class Loop, detail::IsResolver R, FramingLike Framing>
Tcp(Loop&, R&, Framing) -> Tcp<Framing, detail::Anywhere>;
template <class Loop, detail::IsResolver R, FramingLike Framing>
Tcp(Loop&, R&, Framing, TcpOptions) -> Tcp<Framing, detail::Anywhere>;

}}}  // namespace belay::posix
