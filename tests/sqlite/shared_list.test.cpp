// SPDX-License-Identifier: MIT
// Goal: the example of a shared list sends the edits of each device to the others, also after they
// were offline, and after its server and a device were killed. Method: its processes, over sockets.
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "e2e/process.hpp"
#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/posix/raw_socket.hpp"
#include "support/temporary_directory.hpp"

using namespace belay_test;

namespace {

/// A process of the example, in a directory.
class ListProcess {
public:
    ListProcess(const TemporaryDirectory& directory, const std::string& name,
                const std::string& port)
        : process_{{beside_program(SHARED_LIST_BINARY), name, port}, [&] {
                       ::dup2(in_[0], STDIN_FILENO);
                       if (::chdir(std::string{directory / ""}.c_str()) != 0) ::_exit(126);
                   }} {
        ::close(in_[0]);
    }
    ~ListProcess() { end(); }

    void type(std::string line) const {
        line += '\n';
        REQUIRE(::write(in_[1], line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    }
    /// Returns the output of `show`, in alphabetical order.
    std::string list() {
        const std::size_t before = process_.text().size();
        type("show");
        std::size_t end = 0;
        REQUIRE(e2e::eventually([&] {
            end = process_.text().find(" entries", before);
            return end != std::string::npos;
        }));
        std::istringstream lines{process_.text().substr(before, end - before)};
        std::set<std::string> entries;
        for (std::string line; std::getline(lines, line);) {
            if (line.find(" = ") != std::string::npos) entries.insert(line);
        }
        std::string text;
        for (const std::string& one : entries) text += one + "; ";
        return text;
    }
    /// Waits until `show` prints exactly these items.
    bool shows(const std::string& entries) {
        return e2e::eventually([&] { return list() == entries; });
    }
    e2e::Process& process() { return process_; }
    /// Types a last line without a line end, and ends the input.
    void type_end(const std::string& line) {
        const auto size = static_cast<ssize_t>(line.size());
        REQUIRE(::write(in_[1], line.data(), line.size()) == size);
        end();
    }

private:
    void end() { ::close(std::exchange(in_.ends[1], -1)); }
    struct Pipe {
        Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC) == 0); }
        int operator[](int end) const { return ends[end]; }
        int ends[2];
    };
    Pipe in_{};
    e2e::Process process_;
};

}  // namespace

TEST_CASE(
    "a shared list is complete after devices were offline, and a server and a device that are "
    "killed",
    "[sqlite][shared_list][integration]") {
    const TemporaryDirectory directory;
    const std::string port = std::to_string(unused_port());
    std::optional<ListProcess> server{std::in_place, directory, "server", port};
    std::optional<ListProcess> phone{std::in_place, directory, "phone", port};
    ListProcess laptop{directory, "laptop", port};
    phone->type("milk = 1");
    REQUIRE(laptop.shows("milk = 1; "));

    phone->type("offline");
    phone->type("bread = 2");
    phone->type("milk = ");
    REQUIRE(phone->shows("bread = 2; "));
    CHECK(laptop.list() == "milk = 1; ");
    server->process().signal(SIGKILL);
    server.emplace(directory, "server", port);
    laptop.type("eggs = 3");
    phone->process().signal(SIGKILL);
    phone.emplace(directory, "phone", port);
    CHECK(phone->shows("bread = 2; eggs = 3; "));
    CHECK(laptop.shows("bread = 2; eggs = 3; "));

    phone->type("offline");
    phone->type("eggs = 4");
    phone->type("online");
    CHECK(laptop.shows("bread = 2; eggs = 4; "));
}

TEST_CASE("a shared list executes all lines of its input before it ends",
          "[sqlite][shared_list][integration]") {
    const TemporaryDirectory directory;
    const std::string port = std::to_string(unused_port());
    const ListProcess server{directory, "server", port};
    {
        // Each device has its own files, also one with the same name as the session.
        ListProcess phone{directory, "list", port};
        phone.type("a = 1\n = x\nb = 2\nshow");
        phone.type_end("c = 3");
        CHECK(phone.process().wait() == 0);
        CHECK(phone.process().prints("2 entries"));
    }
    ListProcess laptop{directory, "laptop", port};
    CHECK(laptop.shows("a = 1; b = 2; c = 3; "));
}

TEST_CASE("a shared list explains why it ends", "[sqlite][shared_list][integration]") {
    const TemporaryDirectory directory;
    ListProcess stray{directory, "phone", "1"};
    CHECK(stray.shows(""));
    ListProcess second{directory, "phone", "1"};
    CHECK(second.process().wait() == 2);
    CHECK(second.process().prints("phone.journal"));
    e2e::Process nothing{{beside_program(SHARED_LIST_BINARY)}};
    CHECK(nothing.wait() == 2);
    CHECK(nothing.prints("usage: "));
}
