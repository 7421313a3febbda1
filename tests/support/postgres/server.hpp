// SPDX-License-Identifier: MIT
/// \file tests/support/postgres/server.hpp
/// A PostgreSQL server of its own for one test case.
#pragma once

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <belay/postgres/rooms_options.hpp>

#include "support/child_process.hpp"
#include "support/eventually.hpp"
#include "support/temporary_directory.hpp"

namespace belay_test {

/// Listens on a Unix domain socket in a directory that is removed with it. It runs as another user
/// than root.
class PostgresServer : public ChildProcess {
public:
    /// The server of which another one is a replica.
    struct ReplicaOf {
        const PostgresServer& primary;
    };

    PostgresServer() {
        find_user();
        give(directory_.path());
        // Each test program makes the files of an empty database once.
        static const TemporaryDirectory made;
        give(made.path());
        static const int status = run({program("initdb"), "-D", made / "data", "-U", "belay", "-A",
                                       "trust", "--no-sync", "-E", "UTF8", "--locale=C"});
        INFO(log());
        REQUIRE(status == 0);
        REQUIRE(run({"cp", "-a", made / "data", data()}) == 0);
        start();
    }
    /// Copies the data of a server that runs. `start` starts the replica.
    explicit PostgresServer(ReplicaOf of) {
        find_user();
        give(directory_.path());
        const bool copied = of.primary.runs("pg_basebackup", {"-D", data(), "-R", "-c", "fast"});
        INFO(of.primary.log());
        REQUIRE(copied);
    }
    ~PostgresServer() { kill(); }

    /// Starts it again, with its data.
    void start() {
        std::vector<std::string> words{
            program("postgres"), "-D", data(),      "-k", directory_.path(),    "-c",
            "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=20", "-c",
            "autovacuum=off"};
        const std::vector<char*> argv = argv_of(words);
        // The processes of the server before it may still run.
        REQUIRE(eventually([&] {
            if (forks()) become_user(), exec(argv);
            return eventually([&] { return has_ended() || answers(); }) && answers();
        }));
    }
    /// SIGSTOP and SIGCONT for all of its processes.
    void freeze(bool frozen) const {
        std::ifstream pids{data() + "/postmaster.pid"};
        pid_t first = 0;
        pids >> first;
        const std::string of = std::to_string(first);
        std::ifstream children{"/proc/" + of + "/task/" + of + "/children"};
        const int signal = frozen ? SIGSTOP : SIGCONT;
        REQUIRE(::kill(first, signal) == 0);
        for (pid_t child = 0; children >> child;) ::kill(child, signal);
    }
    [[nodiscard]] belay::postgres::RoomsOptions options(std::string prefix = "belay") const {
        belay::postgres::RoomsOptions options;
        options.connection = connection();
        options.prefix = std::move(prefix);
        options.retry_after = std::chrono::milliseconds{20};
        return options;
    }
    [[nodiscard]] std::string connection(const std::string& other_hosts = {}) const {
        return "host=" + directory_.path() + other_hosts + " user=belay dbname=postgres";
    }
    [[nodiscard]] const std::string& host() const { return directory_.path(); }
    /// Gives a directory to the user of the server.
    void give(const std::string& directory) const {
        if (user_ != 0) REQUIRE(::chown(directory.c_str(), user_, group_) == 0);
    }
    /// Runs a program of PostgreSQL as a client of this server.   Returns: whether it succeeds.
    [[nodiscard]] bool runs(const std::string& name, std::vector<std::string> words) const {
        words.insert(words.begin(), {program(name), "-h", host(), "-U", "belay"});
        return run(std::move(words)) == 0;
    }
    /// Runs commands of another program.   Returns: the first value, or the words of an error.
    std::string command(const std::string& text) const {
        PGconn* const connection_of_command = PQconnectdb(connection().c_str());
        PGresult* const result = PQexec(connection_of_command, text.c_str());
        std::string answer =
            PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : PQresultErrorMessage(result);
        PQclear(result);
        PQfinish(connection_of_command);
        return answer;
    }
    [[nodiscard]] std::string log() const {
        std::ostringstream text;
        text << std::ifstream{directory_ / "log"}.rdbuf();
        return text.str();
    }

private:
    [[nodiscard]] std::string data() const { return directory_ / "data"; }
    [[nodiscard]] bool answers() const { return PQping(connection().c_str()) == PQPING_OK; }
    [[nodiscard]] static std::string program(const std::string& name) {
        glob_t found{};
        std::string path = name;
        if (::glob(("/usr/lib/postgresql/*/bin/" + name).c_str(), 0, nullptr, &found) == 0)
            path = found.gl_pathv[found.gl_pathc - 1];
        ::globfree(&found);
        return path;
    }
    void find_user() {
        if (::getuid() != 0) return;
        const passwd* const nobody = ::getpwnam("nobody");
        REQUIRE(nobody != nullptr);
        user_ = nobody->pw_uid;
        group_ = nobody->pw_gid;
    }
    void become_user() const {
        ::setsid();
        const int out = ::open((directory_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        ::dup2(out, 1);
        ::dup2(out, 2);
        if (user_ != 0 && (::fchown(out, user_, group_) != 0 || ::setgroups(0, nullptr) != 0 ||
                           ::setgid(group_) != 0 || ::setuid(user_) != 0))
            ::_exit(126);
        if (::chdir(directory_.path().c_str()) != 0) ::_exit(126);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    [[noreturn]] static void exec(const std::vector<char*>& argv) {
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    [[nodiscard]] int run(std::vector<std::string> words) const {
        const std::vector<char*> argv = argv_of(words);
        const pid_t child = ::fork();
        if (child == 0) become_user(), exec(argv);
        int status = -1;
        ::waitpid(child, &status, 0);
        return status;
    }

    TemporaryDirectory directory_{};
    uid_t user_ = 0;
    gid_t group_ = 0;
};

}  // namespace belay_test
