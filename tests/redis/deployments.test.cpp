// SPDX-License-Identifier: MIT
// Goal: rooms in Redis work as companies deploy it: behind TLS, with Sentinel, with users that have
// few permissions. A cluster is rejected with a message. A copy by redis-cli has all rooms. Method:
// real servers, and the recipes of docs/how-to/several-servers.md and docs/how-to/back-up-rooms.md.
#include <belay/redis/rooms.hpp>

#include <fstream>
#include <functional>
#include <sstream>

#include "support/eventually.hpp"
#include "support/openssl/certificate_authority.hpp"
#include "support/page.hpp"
#include "support/posix/raw_socket.hpp"
#include "support/redis/rooms_rig.hpp"

using namespace belay;
using namespace std::literals;
using namespace belay_test;

namespace {

std::string free_redis_port() { return std::to_string(unused_port()); }
/// A node of a cluster also listens 10,000 above its port, for the other nodes.
std::string free_cluster_port() {
    for (;;) {
        const std::uint16_t port = unused_port(20000, 22000);
        if (is_unused_port(static_cast<std::uint16_t>(port + 10000))) return std::to_string(port);
    }
}

/// A master, a replica of it, and a Sentinel that promotes the replica.
struct Failover {
    Failover() {
        REQUIRE(until(
            [&] { return sentinel_says("REPLICAS").find(replica_port) != std::string::npos; }));
    }
    [[nodiscard]] redis::Options::Sentinels sentinels() const {
        // The first Sentinel is down.
        return {.addresses = {"127.0.0.1:" + free_redis_port(), "127.0.0.1:" + sentinel_port}};
    }
    [[nodiscard]] std::string sentinel_says(const std::string& what) const {
        return sentinel.command({"SENTINEL", what, "mymaster"});
    }
    [[nodiscard]] static bool until(const std::function<bool()>& holds) {
        return eventually(holds, 10ms);
    }
    [[nodiscard]] std::string configuration() const {
        const std::string file = directory / "sentinel.conf";
        std::ofstream{file} << "sentinel monitor mymaster 127.0.0.1 " << master_port
                            << " 1\nsentinel down-after-milliseconds mymaster 200\n"
                               "sentinel failover-timeout mymaster 2000\n";
        return file;
    }

    TemporaryDirectory directory;
    const std::string master_port = free_redis_port();
    const std::string replica_port = free_redis_port();
    const std::string sentinel_port = free_redis_port();
    RedisServer master{{"--port", master_port, "--repl-diskless-sync-delay", "0"}};
    RedisServer replica{{"--port", replica_port, "--replicaof", "127.0.0.1 " + master_port}};
    RedisServer sentinel{{"--port", sentinel_port, "--sentinel"}, configuration()};
};

/// The recipe of the page, between these ends.
class Tunnel : public ChildProcess {
public:
    Tunnel(const std::string& port, const std::string& authority) {
        std::string recipe = block_of_page("how-to/several-servers.md", "; stunnel.conf");
        replace_in_block(recipe, "/run/belay/redis.sock", socket());
        replace_in_block(recipe, "redis.example.org:6380", "127.0.0.1:" + port);
        replace_in_block(recipe, "/etc/ssl/certs/ca-certificates.crt", authority);
        std::ofstream{directory_ / "conf"} << recipe;
        std::vector<std::string> words{"stunnel", directory_ / "conf"};
        const std::vector<char*> argv = argv_of(words);
        if (!forks()) return;
        const int log = ::open((directory_ / "log").c_str(), O_WRONLY | O_CREAT, 0600);
        for (int fd = 1; fd <= 2; ++fd) ::dup2(log, fd);
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    ~Tunnel() { kill(); }
    [[nodiscard]] std::string socket() const { return directory_ / "socket"; }
    [[nodiscard]] std::string log() const {
        std::stringstream text;
        text << std::ifstream{directory_ / "log"}.rdbuf();
        return text.str();
    }

private:
    TemporaryDirectory directory_;
};

}  // namespace

TEST_CASE("redis::Rooms rejects a node of a cluster, and names the alternative",
          "[redis][redis_rooms][unit]") {
    const RedisServer node{{"--port", free_cluster_port(), "--cluster-enabled", "yes"}};
    SharedRooms rooms{rooms_at(node)};
    const PersistenceError error = load(rooms).error();
    CHECK(error.code == redis::Errc::cluster);
    CHECK(cause_of(error.code) == Cause::permanent);
    CHECK(error.message().find("is a node of a cluster") != std::string::npos);
    CHECK(error.message().find("use a server that is not part of a cluster") != std::string::npos);
    REQUIRE(!rooms.begin("board", some_epoch, false));
    CHECK(flush(rooms).code == redis::Errc::cluster);
}

TEST_CASE("redis::Rooms uses TLS through the recipe with stunnel",
          "[redis][redis_rooms][integration]") {
    if (std::system("command -v stunnel > /dev/null") != 0) {
        std::puts("SKIP: no stunnel");
        return;
    }
    CertificateAuthority authority;
    const std::string port = free_redis_port();
    const bool is_right = GENERATE(true, false);
    const CertificateFiles files = authority.issue(
        is_right ? "subjectAltName=DNS:redis.example.org" : "subjectAltName=DNS:other.example.org");
    const RedisServer server{{"--tls-port", port, "--tls-cert-file", files.certificates,
                              "--tls-key-file", files.key, "--tls-ca-cert-file", authority.file(),
                              "--tls-auth-clients", "no"}};
    const Tunnel tunnel{port, authority.file()};
    redis::RoomsOptions options = rooms_at(server);
    options.socket = tunnel.socket();
    SharedRooms rooms{options};
    // Until the tunnel listens.
    const auto reaches_server = [&] {
        bool found = false;
        static_cast<void>(eventually(
            [&] {
                const auto room = load(rooms);
                found = room.has_value();
                const bool listens = !found &&
                                     room.error().code != std::errc::no_such_file_or_directory &&
                                     room.error().code != std::errc::connection_refused;
                return found || (!is_right && listens);
            },
            10ms));
        return found;
    };
    const bool reached = reaches_server();
    INFO(tunnel.log());
    CHECK(reached == is_right);
    if (!reached) return;
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    append(rooms, "a");
    CHECK(words_in(receive(rooms, read)) == "a*,");
    CHECK(server.command({"EXISTS", room_key}) == "1");
}

TEST_CASE("redis::Rooms and redis::Stream find the master that Sentinel promotes",
          "[redis][redis_rooms][integration]") {
    Failover f;
    redis::RoomsOptions options;
    options.sentinels = f.sentinels();
    options.retry_after = 20ms;
    SharedRooms rooms{options};
    redis::Options of_queue{.stream = "jobs", .consumer = "one"};
    of_queue.sentinels = f.sentinels();
    redis::Stream queue = opened(of_queue);
    push(queue, "before");
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    append(rooms, "a");
    CHECK(f.master.command({"EXISTS", room_key}) == "1");
    REQUIRE(Failover::until([&] {
        return f.replica.command({"XLEN", updates_key}) == "1" &&
               f.replica.command({"XLEN", "jobs"}) == "1";
    }));
    // Earlier subscriptions continue after the failover.
    driver::Question<Result<part::FanoutBatch, PersistenceError>> batch;
    rooms.subscribe("board", no_id, (*load(rooms))->position, batch.ask());

    f.master.kill();
    REQUIRE(Failover::until([&] { return static_cast<bool>(load(rooms)); }));
    CHECK(f.replica.command({"ROLE"}).starts_with("master"));
    CHECK(words_in(load(rooms)) == "|a,");
    append(rooms, "b");
    CHECK(words_in(receive(rooms, read)) == "a*,b*,");
    REQUIRE(Failover::until([&] { return batch.answered(); }));
    CHECK(first_of(queue) == "before");
}

TEST_CASE("redis::Rooms reports a master that no Sentinel names", "[redis][redis_rooms][unit]") {
    const std::string port = free_redis_port();
    const TemporaryDirectory dir;
    std::ofstream{dir / "sentinel.conf"}.flush();
    const RedisServer sentinel{{"--port", port, "--sentinel"}, dir / "sentinel.conf"};
    redis::RoomsOptions options;
    options.sentinels.addresses = {"127.0.0.1:" + port};
    SharedRooms rooms{options};
    const PersistenceError unknown = load(rooms).error();
    CHECK(unknown.code == std::errc::host_unreachable);
    CHECK(unknown.message().find("the Sentinel has no master of this name") != std::string::npos);
    // A replica that a Sentinel reports as the master.
    const std::string replica_port = free_redis_port();
    const RedisServer replica{{"--port", replica_port, "--replicaof", "127.0.0.1 1"}};
    sentinel.command({"SENTINEL", "MONITOR", "mymaster", "127.0.0.1", replica_port, "1"});
    SharedRooms others{options};
    const PersistenceError error = load(others).error();
    CHECK(error.code == redis::Errc::read_only);
    CHECK(error.message().find("not yet, a master") != std::string::npos);
}

TEST_CASE("redis::Rooms: a server that starts on a copy of redis-cli --rdb has all rooms",
          "[redis][redis_rooms][unit]") {
    // The copy of the server is younger than this time.
    const RedisServer server{{"--repl-diskless-sync-delay", "0"}};
    SharedRooms rooms{rooms_at(server)};
    begin(rooms);
    append(rooms, "a");
    REQUIRE_FALSE(save(rooms, "A", (*load(rooms))->position));
    append(rooms, "b");
    const TemporaryDirectory dir;
    std::string recipe = "redis-cli --rdb FILE";
    REQUIRE(page_text("how-to/back-up-rooms.md").find(recipe) != std::string::npos);
    replace_in_block(recipe, "redis-cli", "redis-cli -s " + server.socket());
    replace_in_block(recipe, "FILE", (dir / "copy.rdb") + " > /dev/null 2>&1");
    REQUIRE(std::system(recipe.c_str()) == 0);
    append(rooms, "later");
    const RedisServer restored{{"--dir", dir.path(), "--dbfilename", "copy.rdb"}};
    SharedRooms copy{rooms_at(restored)};
    CHECK(words_in(load(copy)) == "A|b,");
    CHECK(listed(copy) == "board,");
    append(copy, "c");
    CHECK(words_in(load(copy)) == "A|b,c,");
    CHECK(words_in(load(rooms)) == "A|b,later,");
}
