// SPDX-License-Identifier: MIT
// Goal: all connections to Redis are secured by TLS, the server's name is verified, and each
// failure has a reason. Method: real servers with certificates of each kind, and silent ones. It
// needs hiredis 1.0 or later.
#include <belay/redis/tls.hpp>

#include <signal.h>

#include "support/eventually.hpp"
#include "support/openssl/certificate_authority.hpp"
#include "support/posix/black_hole.hpp"
#include "support/posix/raw_socket.hpp"
#include "support/redis/rooms_rig.hpp"

using namespace belay;
using namespace std::literals;
using namespace belay_test;

namespace {

struct Authority : CertificateAuthority {
    /// Options that trust this authority; with the certificate of a client, if there is one.
    [[nodiscard]] std::shared_ptr<redis::Tls> tls(redis::TlsOptions options = {},
                                                  const CertificateFiles& client = {}) const {
        const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{
            SSL_CTX_new(TLS_client_method()), &SSL_CTX_free};
        REQUIRE(SSL_CTX_load_verify_locations(context.get(), file().c_str(), nullptr) == 1);
        if (!client.key.empty()) {
            REQUIRE(SSL_CTX_use_certificate_chain_file(context.get(),
                                                       client.certificates.c_str()) == 1);
            REQUIRE(SSL_CTX_use_PrivateKey_file(context.get(), client.key.c_str(),
                                                SSL_FILETYPE_PEM) == 1);
        }
        return std::make_shared<redis::Tls>(context.get(), std::move(options));
    }
    [[nodiscard]] RedisServer::Settings settings(const std::string& port,
                                                 const std::string& extension,
                                                 const char* auth_clients = "no") {
        const CertificateFiles files = issue(extension);
        return {"--tls-port",         port,        "--tls-cert-file",    files.certificates,
                "--tls-key-file",     files.key,   "--tls-ca-cert-file", file(),
                "--tls-auth-clients", auth_clients};
    }
};

const std::string right = "subjectAltName=DNS:localhost,IP:127.0.0.1";

[[nodiscard]] redis::Options at(const std::string& port, std::shared_ptr<redis::Tls> tls) {
    redis::Options options{.stream = "jobs", .consumer = "one"};
    options.port = static_cast<std::uint16_t>(std::stoi(port));
    options.tls = std::move(tls);
    return options;
}
void push_at(const redis::Options& options, std::string_view text) {
    redis::Stream queue = opened(options);
    push(queue, text);
}
[[nodiscard]] redis::RoomsOptions rooms_of(const redis::Options& queue) {
    redis::RoomsOptions options;
    options.host = queue.host;
    options.port = queue.port;
    options.tls = queue.tls;
    options.sentinels = queue.sentinels;
    options.retry_after = 20ms;
    return options;
}

}  // namespace

TEST_CASE("redis::Tls carries a queue and rooms, also long values, over TLS",
          "[redis][tls][integration]") {
    Authority authority;
    const std::string port = std::to_string(unused_port());
    const RedisServer server{authority.settings(port, right)};
    redis::Options options = at(port, authority.tls());
    options.host = GENERATE("127.0.0.1", "localhost");
    options.record_bytes_max = 32 << 20;
    redis::Stream queue = opened(options);
    const std::string value(20'000'000, 'x');  // more than the buffer of a socket
    push(queue, value);
    CHECK(first_of(queue) == value);

    SharedRooms rooms{rooms_of(options)};
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    driver::Question<Result<part::FanoutBatch, PersistenceError>> batch;
    rooms.subscribe("board", no_id, read, batch.ask());
    SharedRooms other{rooms_of(options)};
    REQUIRE(load(other));
    append(other, "a");
    CHECK(eventually([&] { return batch.answered(); }));
    CHECK(words_in(receive(other, read)) == "a*,");
}

TEST_CASE("redis::Tls connects again after the server has closed its connections",
          "[redis][tls][integration]") {
    Authority authority;
    const std::string port = std::to_string(unused_port());
    const RedisServer server{authority.settings(port, right)};
    redis::Stream queue = opened(at(port, authority.tls()));
    push(queue, "a");
    CHECK(server.command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}) != "0");
    push(queue, "b");
    CHECK(server.command({"XLEN", "jobs"}) == "2");
}

TEST_CASE("redis::Tls reports the reason why it rejects a server", "[redis][tls][integration]") {
    Authority authority;
    Authority other;
    const std::string port = std::to_string(unused_port());
    const RedisServer server{authority.settings(port, "subjectAltName=DNS:redis.example.org")};
    const redis::Error name = refused(at(port, authority.tls()));
    CHECK(name.code == tls::Errc::certificate_other_name);
    CHECK(name.message().find("has another name") != std::string::npos);
    CHECK(refused(at(port, other.tls({.server_name = "redis.example.org"}))).code ==
          tls::Errc::certificate_unknown_issuer);
    SharedRooms rooms{rooms_of(at(port, authority.tls()))};
    CHECK(load(rooms).error().code == tls::Errc::certificate_other_name);

    push_at(at(port, authority.tls({.server_name = "redis.example.org"})), "a");
    push_at(at(port, other.tls({.insecure_no_verify = true})), "b");
    CHECK(server.command({"XLEN", "jobs"}) == "2");
}

TEST_CASE("redis::Tls reports a server without TLS, and one that requires a certificate",
          "[redis][tls][integration]") {
    Authority authority;
    const std::string port = std::to_string(unused_port());
    {
        const RedisServer plain{{"--port", port}};
        redis::Options options = at(port, authority.tls());
        options.connect_timeout = 200ms;
        const redis::Error error = refused(options);  // Redis waits for the rest of a line
        CHECK(error.code == std::errc::timed_out);
        CHECK(error.message().find("did not answer the handshake of TLS") != std::string::npos);
    }
    const RedisServer server{authority.settings(port, right, "yes")};
    const redis::Error error = refused(at(port, authority.tls()));
    INFO(error.message());
    CHECK(error.message().find("certificate required") != std::string::npos);
    push_at(at(port, authority.tls({}, authority.issue(right))), "a");
}

TEST_CASE("redis::Tls ends a handshake that hangs within connect_timeout", "[redis][tls][fault]") {
    const std::string port = std::to_string(unused_port());
    const RawSocket silent = listen_at("127.0.0.1", static_cast<std::uint16_t>(std::stoi(port)));
    Authority authority;
    redis::Options options = at(port, authority.tls());
    options.connect_timeout = 200ms;
    const auto begin = std::chrono::steady_clock::now();
    CHECK(refused(options).code == std::errc::timed_out);
    CHECK(std::chrono::steady_clock::now() - begin < 2s);
}

TEST_CASE("redis::Tls: a write to a closed connection raises no signal, and discards none",
          "[redis][tls][fault]") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    ::close(ends[0]);
    {
        const detail::SigpipeBlocked no_signal;
        CHECK(::write(ends[1], "x", 1) < 0);  // the signal would end this program
    }
    sigset_t pipe;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGPIPE) == 0);
    // A signal that the program has blocked, and that was pending before, stays pending.
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    ::raise(SIGPIPE);
    { const detail::SigpipeBlocked no_signal; }
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGPIPE) == 1);
    int number = 0;
    sigwait(&pipe, &number);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::close(ends[1]);
}

TEST_CASE("redis::Tls secures the connections to Sentinels and to the master they name",
          "[redis][tls][integration]") {
    Authority authority;
    const std::string port = std::to_string(unused_port());
    const std::string sentinel_port = std::to_string(unused_port());
    const TemporaryDirectory directory;
    std::ofstream{directory / "conf"} << "sentinel monitor mymaster 127.0.0.1 " << port << " 1\n";
    const RedisServer server{authority.settings(port, right)};
    RedisServer::Settings settings = authority.settings(sentinel_port, right);
    settings.insert(settings.begin(), {"--port", "0", "--sentinel", "--tls-replication", "yes"});
    const RedisServer sentinel{settings, directory / "conf"};
    redis::Options options = at("1", authority.tls());
    options.sentinels.addresses = {"127.0.0.1:" + sentinel_port};
    push_at(options, "a");
    CHECK(server.command({"XLEN", "jobs"}) == "1");
    SharedRooms rooms{rooms_of(options)};
    begin(rooms);
    append(rooms, "a");
}

TEST_CASE("redis::Rooms rejects a node of a cluster over TLS", "[redis][tls][unit]") {
    Authority authority;
    const std::string port = std::to_string(unused_port(20000, 22000));
    RedisServer::Settings settings = authority.settings(port, right);
    settings.insert(settings.end(), {"--cluster-enabled", "yes", "--tls-cluster", "yes"});
    const RedisServer node{settings};
    SharedRooms rooms{rooms_of(at(port, authority.tls()))};
    CHECK(load(rooms).error().code == redis::Errc::cluster);
}
