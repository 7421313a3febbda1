// SPDX-License-Identifier: MIT
// Goal: an error after which a journal has lost nothing ends a connection, and neither blocks a
// session nor ends an outbox. Method: the test plays the receiver, and the paths of a disk cannot
// be read for a while.
#include <belay/session/session_format.hpp>

#include <array>
#include <string>

#include "support/catch.hpp"
#include "support/session/session_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A sim::Disk whose paths cannot be read, and whose files cannot be opened, for a while.
struct LockedDisk : sim::Disk {
    [[nodiscard]] Result<std::array<std::uint64_t, 2>> identity(
        const std::string& path) const noexcept {
        if (locked) return locked;
        return sim::Disk::identity(path);
    }
    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) noexcept {
        if (locked) return locked;
        return sim::Disk::open(path, mode);
    }

    std::error_code locked{};
};
using LockedRig = SessionRig<RawPingedConnection, SessionNotes, LockedDisk>;

const std::array passing{std::make_error_code(std::errc::too_many_files_open),
                         std::make_error_code(std::errc::permission_denied),
                         std::make_error_code(std::errc::not_enough_memory),
                         std::make_error_code(std::errc::io_error)};

}  // namespace

TEST_CASE("may_pass returns true unless the log has failed or its data is wrong",
          "[session][log_failure][unit]") {
    for (const std::error_code& error : passing) {
        CHECK(detail::may_pass(error, false));
        CHECK_FALSE(detail::may_pass(error, true));
    }
    CHECK(detail::may_pass(QueueErrc::displaced, false));
    CHECK_FALSE(detail::may_pass(QueueErrc::corrupt, false));
    CHECK_FALSE(detail::may_pass(QueueErrc::unknown_number, false));
}

TEST_CASE("log_failure has a cause after which a link tries again, if the error may pass",
          "[session][log_failure][unit]") {
    for (const std::error_code& error : passing) {
        CHECK(detail::log_failure(error, true).cause == Cause::overloaded);
        CHECK(detail::log_failure(error, true).error() == error);
        CHECK(detail::log_failure(error, false).cause == Cause::permanent);
    }
    CHECK(detail::log_failure(QueueErrc::displaced, true).cause == Cause::refused);
}

TEST_CASE("Session that cannot look at its files while it pins its first receiver tries again",
          "[session][log_failure][regression]") {
    for (const std::error_code& error : passing) {
        LockedRig r;
        r.send("a");
        r.run();
        r.start();
        r.exchange(r.fresh());
        r.disk.locked = error;
        r.exchange(ack(0));
        CHECK(r.blocked() == Blocked::none);
        CHECK(r.state() == LinkState::cooldown);
        CHECK(r.session->status().link.failure.error() == error);
        for (const std::string& s : r.line().sent_frames()) CHECK(s.substr(0, 4) != "data");
        CHECK(r.session->send(as_bytes("b")).has_value());
        r.disk.locked = {};
        r.run(1s);
        // The receiver has adopted the journal on an earlier connection.
        CHECK(r.exchange(r.known(0)).back() == "data 2 b");
        CHECK(r.state() == LinkState::connected);
    }
}

TEST_CASE("Session that cannot open a file of its journal for a while delivers what is in it later",
          "[session][log_failure][regression]") {
    for (const std::error_code& error : passing) {
        LockedRig r;
        for (int i = 0; i < 60; ++i) r.send(std::string(90, 'x'));
        r.run();
        r.start();
        r.exchange(r.fresh());
        r.disk.locked = error;
        r.exchange(ack(0));
        CHECK(r.blocked() == Blocked::none);
        CHECK(r.state() == LinkState::cooldown);
        r.disk.locked = {};
        r.run(1s);
        r.exchange(r.known(0));
        CHECK(r.state() == LinkState::connected);
        r.exchange(ack(60));
        CHECK(r.session->status().acknowledged == 60);
    }
}
