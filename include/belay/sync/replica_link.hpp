// SPDX-License-Identifier: MIT
/// \file belay/sync/replica_link.hpp
/// LinkExchange: the exchange of a RemoteSyncServer over a link.
/// ReplicaLink: the server of a Replica, over a connection that it keeps open.
#pragma once

#include <memory>        // std::make_shared
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <system_error>  // std::error_code, std::make_error_code
#include <type_traits>   // std::is_void_v
#include <utility>       // std::move, std::exchange

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/core/assert.hpp>
#include <belay/link/requests.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sync/remote_sync_server.hpp>
#include <belay/sync/replica.hpp>
#include <belay/sync/sync_errc.hpp>
#include <belay/sync/sync_messages.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace part {

/// Asks over a Requests whose codec is SyncMessages, and runs the loop until the answer is there.
///
/// `loop` is the driver of `requests`, with `bool run_until(done, limit)`: Loop, posix::Loop, or
/// sim::World in a test. Other machines of the loop run meanwhile. A question is sent again on the
/// next connection if this one ends.
///
/// Pre:           not called inside a turn of the loop; a hook sets a flag instead.
/// Thread safety: the loop's thread.
template <class Questions, class Loop>
class LinkExchange {
public:
    /// Does not compile.
    LinkExchange(Questions&, Loop&) {
        static_assert(std::is_void_v<Questions>,
                      "LinkExchange: the first argument must be a belay::Requests whose codec is "
                      "belay::part::SyncMessages");
    }
    Result<Bytes> operator()(Bytes, Duration) { return Bytes{}; }
};

template <class Transport, class Policy, class Observer, class Loop>
class LinkExchange<Requests<Transport, Policy, SyncMessages, Observer>, Loop> {
    static_assert(
        detail::carries_any_bytes<Transport>,
        "LinkExchange: the transport must carry any bytes; use LengthPrefixed, not Lines");

public:
    /// The Requests that carries the questions and the answers.
    using Questions = Requests<Transport, Policy, SyncMessages, Observer>;

    LinkExchange(Questions& requests, Loop& loop) noexcept : requests_{&requests}, loop_{&loop} {}

    /// Errors: those of the failure of Requests::ask; unanswered: the loop was stopped.
    [[nodiscard]] Result<Bytes> operator()(Bytes question, Duration within) {
        // Requests gives the question an id of its own, for the time on the link.
        const bool has_id = question.size() >= detail::SyncHeader::size;
        const std::uint64_t id = has_id ? detail::SyncHeader::id_of(question) : 0;
        // Shared, because the question may outlive this call if the loop is stopped.
        auto answer = std::make_shared<std::optional<Result<Bytes, Failure>>>();
        const auto asked = requests_->ask(
            std::move(question), within,
            [answer](Result<Bytes, Failure> got) { answer->emplace(std::move(got)); },
            RequestsOptions::send_again);
        if (!asked) return asked.error();
        const bool ended =
            detail::wait_for_exchange(*loop_, within, [&] { return answer->has_value(); });
        if (!ended) {
            requests_->cancel(*asked);
            return make_error_code(SyncErrc::unanswered);
        }
        if (**answer) {
            SyncMessages::put_id(***answer, id);
            return std::move(***answer);
        }
        const std::error_code error = (**answer).error().error();
        return error ? error : make_error_code(SyncErrc::unanswered);
    }

private:
    Questions* requests_;
    Loop* loop_;
};

template <class Questions, class Loop>
LinkExchange(Questions&, Loop&) -> LinkExchange<Questions, Loop>;
template <class Transport, class Policy, class Observer, class Loop>
LinkExchange(Requests<Transport, Policy, SyncMessages, Observer>&, Loop&)
    -> LinkExchange<Requests<Transport, Policy, SyncMessages, Observer>, Loop>;

}  // namespace part

namespace detail {

[[nodiscard]] inline auto replica_link_policy() {
    using std::chrono::milliseconds, std::chrono::seconds;
    return Policy{Backoff{FullJitter{}, Cap{seconds{30}}, milliseconds{100}},
                  ResetWhenStable{seconds{10}}, AttemptTimeout{seconds{10}}};
}

}  // namespace detail

namespace part {

/// Options of a ReplicaLink.
struct ReplicaLinkOptions {
    /// The session that the replica edits; not empty.
    std::string session{};
    /// The maximum time for the answer to one question.
    Duration within = std::chrono::seconds{10};
    /// The maximum time that a question waits for a connection; >= 0ns.
    Duration connected_within = std::chrono::seconds{1};
};

/// Connects a Replica to a ReplicaServer, and is the server that Replica::sync takes.
///
///     part::ReplicaLink server{loop, posix::Tcp{loop, {"10.0.0.1", 9000}}, NoteCodec{},
///                              {.session = "notes"}};
///     auto report = replica.sync(server);         // while offline: an error after 1 s
///     if (server.take_due()) ...                  // the server has changes: sync again
///
/// It attaches itself to the loop, connects at once, and connects again after a loss. An attempt
/// takes at most 10 s, and the waits between attempts grow from 100 ms to 30 s, with FullJitter. A
/// sync that finds no connection ends the current wait, at most once per second. A question without
/// an answer in time ends the connection. For another policy or observer use RemoteSyncServer with
/// a LinkExchange.
///
/// After a failure that retries do not cure, such as a permission that is missing
/// (LinkState::failed) or credentials that the server rejects (LinkState::blocked_auth), it does
/// not connect on its own. A sync tries again, at most once per second.
///
/// `loop` is a Loop, a posix::Loop, or a driver of yours with `run_until(done, limit)`. It runs
/// while a sync waits, so call Replica::sync outside its turns.
///
/// Models:        SyncServerLike; cannot be moved.
/// Thread safety: the loop's thread.   Blocks: for the exchange.
template <TransportLike Transport, CodecLike Codec, class Loop>
class ReplicaLink {
    /// Notes when a sync is due.
    struct Due {
        bool is_due = false;
        void on_state(const Transition& change) noexcept {
            if (change.to.state == LinkState::connected) is_due = true;
        }
        void on_message(const Bytes& message) noexcept {
            if (SyncMessages::is_notice(message)) is_due = true;
        }
    };
    using Policy = decltype(detail::replica_link_policy());
    using Questions = Requests<Transport, Policy, SyncMessages, Due>;
    using Server = RemoteSyncServer<Codec, LinkExchange<Questions, Loop>>;

public:
    using value_type = typename Server::value_type;
    using operation_type = typename Server::operation_type;

    /// Pre: options.session is not empty; options.within > 0ns; options.connected_within >= 0ns.
    ///      The loop outlives it.
    ReplicaLink(Loop& loop, Transport transport, Codec codec, ReplicaLinkOptions options)
        : loop_{&loop},
          connected_within_{options.connected_within},
          requests_{std::move(transport), detail::replica_link_policy(), SyncMessages{},
                    // One question at a time: no later one shows that the connection is dead.
                    RequestsOptions{.timeouts_max = 1}},
          server_{LinkExchange{requests_, loop},
                  std::move(codec),
                  {.session = checked(options), .within = options.within}} {
        loop.attach(requests_);
        requests_.start();
    }
    ReplicaLink(const ReplicaLink&) = delete;
    ReplicaLink& operator=(const ReplicaLink&) = delete;
    ~ReplicaLink() = default;

    /// Applies operations on the server.
    /// Errors: not_connected: there is no connection after `connected_within`, or the loop was
    ///         stopped meanwhile, or at once if requests() was stopped; as RemoteSyncServer::send.
    [[nodiscard]] Result<SyncResult<operation_type>> send(std::span<const operation_type> batch) {
        if (!connects()) return std::make_error_code(std::errc::not_connected);
        return server_.send(batch);
    }
    /// Returns the next changes.   Errors: as send.
    [[nodiscard]] Result<ChangesPage<value_type>> changes(const StoreCursor& since) {
        if (!connects()) return std::make_error_code(std::errc::not_connected);
        return server_.changes(since);
    }

    /// Returns whether a sync is due, once: since the last call it has connected, or the server has
    /// sent a notice of changes.
    [[nodiscard]] bool take_due() noexcept {
        return std::exchange(requests_.observer().is_due, false);
    }
    /// Returns whether a sync() can begin at once; otherwise it first waits for a connection.
    [[nodiscard]] bool is_connected() const noexcept {
        return requests_.status().link.state == LinkState::connected;
    }
    /// Returns the connection, to stop and start it, or to read its status.
    [[nodiscard]] Questions& requests() noexcept { return requests_; }

private:
    [[nodiscard]] static std::string checked(ReplicaLinkOptions& options) {
        BELAY_OPTION(!options.session.empty(),
                     "ReplicaLink: options.session must name the session of the replica");
        BELAY_OPTION(options.connected_within >= Duration::zero(),
                     "ReplicaLink: options.connected_within must be >= 0ns");
        return std::move(options.session);
    }
    [[nodiscard]] bool connects() {
        if (is_connected()) return true;
        const LinkState state = requests_.status().link.state;
        // In another state it would begin a second attempt.
        if (state == LinkState::cooldown) requests_.reconnect_now();
        // From there it would be granted each time.
        const bool has_given_up = state == LinkState::failed || state == LinkState::blocked_auth;
        if (has_given_up && loop_->now() >= restarts_from_) {
            restarts_from_ = after(loop_->now(), std::chrono::seconds{1});
            requests_.reconnect_now();
        }
        // Else a command, such as start(), waits for the next turn.
        const bool is_idle = requests_.deadline() != always;
        if (state == LinkState::stopped && is_idle) return false;
        return detail::wait_in_loop(*loop_, connected_within_, [this] { return is_connected(); });
    }

    Loop* loop_;
    Duration connected_within_;
    Instant restarts_from_ = always;  // after it has given up
    Questions requests_;
    Server server_;
};

template <class Loop, class Transport, class Codec>
ReplicaLink(Loop&, Transport, Codec, ReplicaLinkOptions) -> ReplicaLink<Transport, Codec, Loop>;

}  // namespace part

}}  // namespace belay
