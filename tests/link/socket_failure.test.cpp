// SPDX-License-Identifier: MIT
// Goal: no error of the network ends a link for good. Method: each error that the system gives for
// a firewall, a route or a missing family of addresses; a stream whose socket fails so.
#include <belay/link/link_errc.hpp>

#include <optional>
#include <string>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/link/detail/stream_connection.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/supervisor.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay::detail::socket_failure;
using belay::detail::StreamAnswer;

namespace {

constexpr std::errc errors_of_the_network[] = {
    std::errc::permission_denied,      std::errc::operation_not_permitted,
    std::errc::invalid_argument,       std::errc::address_family_not_supported,
    std::errc::protocol_not_supported, std::errc::function_not_supported};

/// A socket whose calls fail with an error.
class FailingStream : public belay::detail::StreamConnection<FailingStream, LengthPrefixed> {
    using Stream = belay::detail::StreamConnection<FailingStream, LengthPrefixed>;
    friend Stream;
    using Answer = StreamAnswer;

public:
    explicit FailingStream(const Link<Bytes>& link) : Stream{LengthPrefixed{}, 1000, link} {
        this->begin();
    }
    ~FailingStream() { this->abandon(); }
    FailingStream(const FailingStream&) = delete;
    FailingStream& operator=(const FailingStream&) = delete;
    using Stream::flush;
    using Stream::readable;

    static inline std::error_code error;

private:
    Answer read_some(std::span<std::byte>) noexcept { return {Answer::Kind::failed, 0, error}; }
    Answer write_some(BytesView) noexcept { return {Answer::Kind::failed, 0, error}; }
    Answer write_both(BytesView, BytesView) noexcept { return {Answer::Kind::failed, 0, error}; }
    void watch(bool, bool) {}
    void write_soon() {}
    void end_output() noexcept {}
    void hang_up() noexcept {}
};
struct FailingTransport {
    using message_type = Bytes;
    struct Connection {
        explicit Connection(const Link<Bytes>& link) : stream{link} { newest = &stream; }
        [[nodiscard]] SendResult send(const Bytes& m) noexcept { return stream.send(m); }
        void close(const Failure& why) noexcept { stream.close(why); }
        FailingStream stream;
    };
    [[nodiscard]] Connection open(const Link<Bytes>& link) { return Connection{link}; }
    static inline FailingStream* newest = nullptr;
};

}  // namespace

TEST_CASE("socket_failure: an error of the network is never permanent or forbidden",
          "[link][socket_failure][unit]") {
    for (const std::errc one : errors_of_the_network) {
        for (const std::error_code error :
             {std::make_error_code(one),
              std::error_code{static_cast<int>(one), std::system_category()}}) {
            const Failure failure = socket_failure(error, Cause::refused);
            INFO(error.message());
            CHECK(failure.cause == Cause::refused);
            CHECK(failure.error() == error);
        }
    }
}

TEST_CASE("socket_failure: all other errors keep their cause", "[link][socket_failure][unit]") {
    const auto cause = [](const std::error_code& error) {
        return socket_failure(error, Cause::refused).cause;
    };
    CHECK(cause({}) == Cause::none);
    CHECK(cause(std::make_error_code(std::errc::connection_reset)) == Cause::lost);
    CHECK(cause(std::make_error_code(std::errc::timed_out)) == Cause::timed_out);
    CHECK(cause(std::make_error_code(std::errc::too_many_files_open)) == Cause::overloaded);
    // One of belay's own, which is no error of the system.
    CHECK(cause(LinkErrc::message_rejected) == Cause::permanent);
}

TEST_CASE("A stream whose socket fails because of the network is lost, and dialled again",
          "[link][socket_failure][regression]") {
    for (const std::errc one : errors_of_the_network) {
        for (const bool writes : {false, true}) {
            FailingStream::error = std::make_error_code(one);
            Supervisor link{FailingTransport{}, Policy{Backoff{NoJitter{}, Cap{1s}, 1s}}};
            link.start();
            link.advance(Instant{1s});
            REQUIRE(link.status().state == LinkState::connected);
            if (writes) {
                REQUIRE(link.send(to_bytes("x")) == SendResult::sent);
                FailingTransport::newest->flush();
            }
            FailingTransport::newest->readable();
            link.advance(Instant{1s});
            INFO(FailingStream::error.message());
            CHECK(link.status().state == LinkState::cooldown);
            CHECK(link.status().failure.cause == Cause::lost);
            CHECK(link.status().failure.error() == one);
        }
    }
}
