// SPDX-License-Identifier: MIT
// Goal: the example of a bridge keeps a file and an MCP server in step, over an outage of the
// server, and exits cleanly. Method: the example's process, and the SDK's server.
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>

#include <belay/sync/bridge_check.hpp>

#include "../../examples/mcp_bridge/scene_file.hpp"
#include "e2e/process.hpp"
#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/mcp/mcp_server.hpp"
#include "support/temporary_directory.hpp"

using namespace belay_test;

namespace {

/// The error of each renameat2; 0 calls the kernel.
int rename_error = 0;

}  // namespace

// It replaces the function of the C library in this program, because tests have no file system
// without exchanges.
extern "C" int renameat2(int from_at, const char* from, int to_at, const char* to,
                         unsigned flags) noexcept {
    if (rename_error == 0) {
        return static_cast<int>(::syscall(SYS_renameat2, from_at, from, to_at, to, flags));
    }
    errno = rename_error;
    return -1;
}

namespace {

void write_scene(const std::string& path, const std::string& text) {
    // Replaces the file in one step, like an editor, because the example may read it at any time.
    std::ofstream{path + ".edited"} << text;
    REQUIRE(::rename((path + ".edited").c_str(), path.c_str()) == 0);
}
std::string scene_in(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream{path}.rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("The MCP bridge keeps a file and a server in step over an outage",
          "[mcp][mcp_bridge][integration]") {
    if (!McpServer::is_here()) return;
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/scene.json";
    auto server = std::make_unique<McpServer>();
    const std::string port = std::to_string(server->port);
    write_scene(file, R"({"content": {"a": 1}})");
    e2e::Process example{{beside_program(MCP_BRIDGE_BINARY), server->url(), file, "board"}};
    server->line_with(R"(pushed board {"content":{"a":1})");
    CHECK(example.prints("connected"));

    server->kill();
    write_scene(file, R"({"content": {"a": 2}})");
    CHECK(example.prints("disconnected: "));
    server = std::make_unique<McpServer>(std::vector<std::string>{"--port", port});
    // The edits during the outage are there, and no others.
    server->line_with(R"(pushed board {"content":{"a":2})");

    server->order(R"(put board {"content":"from there","stamp":{"wall":"9000000000000000000",)"
                  R"("counter":0,"origin":"07000000000000000000000000000000"}})");
    CHECK(e2e::eventually([&] { return scene_in(file).find("from there") != std::string::npos; }));
    example.signal(SIGINT);
    server->line_with("request DELETE");
    CHECK(example.wait() == 0);
    CHECK(example.text().ends_with("ended\n"));
}

TEST_CASE("The MCP bridge reports a file that was edited between two runs, and overwrites no edit",
          "[mcp][mcp_bridge][integration]") {
    if (!McpServer::is_here()) return;
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/scene.json";
    McpServer server;
    write_scene(file, R"({"content": {"a": 1}})");
    const auto run = [&] {
        return e2e::Process{{beside_program(MCP_BRIDGE_BINARY), server.url(), file, "board"}};
    };
    const auto end = [](e2e::Process& example) {
        example.signal(SIGINT);
        CHECK(example.wait() == 0);
    };
    {
        auto first = run();
        server.line_with(R"(pushed board {"content":{"a":1})");
        CHECK(e2e::eventually([&] { return scene_in(file).find("base") != std::string::npos; }));
        end(first);
    }
    // An editor keeps the other members of the file.
    std::string edited = scene_in(file);
    edited.replace(edited.find("\"a\": 1"), 6, "\"a\": 2");
    write_scene(file, edited);
    server.order(R"(put board {"content":"from there","stamp":{"wall":"9000000000000000000",)"
                 R"("counter":0,"origin":"07000000000000000000000000000000"}})");
    {
        auto second = run();
        CHECK(second.prints(R"(edit the file to decide. The server has: "from there")"));
        CHECK(scene_in(file).find("\"a\": 2") != std::string::npos);
        write_scene(file, R"({"content": "both"})");
        server.line_with(R"(pushed board {"content":"both")");
        end(second);
    }
    // This program changed nothing, so it accepts the server's scene without a report.
    server.order(R"(put board {"content":"older","stamp":{"wall":"1",)"
                 R"("counter":0,"origin":"07000000000000000000000000000000"}})");
    auto third = run();
    CHECK(e2e::eventually([&] { return scene_in(file).find("older") != std::string::npos; }));
    end(third);
    CHECK(third.text().find("both sides") == std::string::npos);
}

TEST_CASE("The MCP bridge does not change a file that it cannot read",
          "[mcp][mcp_bridge][integration]") {
    if (!McpServer::is_here()) return;
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/scene.json";
    McpServer server;
    write_scene(file, R"({"content": {"a": 1}})");
    e2e::Process example{{beside_program(MCP_BRIDGE_BINARY), server.url(), file, "board"}};
    server.line_with(R"(pushed board {"content":{"a":1})");
    write_scene(file, R"({"content": {"a": 1,})");
    CHECK(example.prints("cannot be read"));
    server.order(R"(put board {"content":"from there","stamp":{"wall":"9000000000000000000",)"
                 R"("counter":0,"origin":"07000000000000000000000000000000"}})");
    CHECK(example.prints("apply: "));
    CHECK(scene_in(file) == R"({"content": {"a": 1,})");
    write_scene(file, R"({"content": {"a": 3}})");
    CHECK(example.prints("this version was lost"));
    example.signal(SIGINT);
    CHECK(example.wait() == 0);
}

TEST_CASE("The MCP bridge's file keeps an edit that is saved while the bridge writes",
          "[mcp][mcp_bridge]") {
    const TemporaryDirectory directory;
    SceneFile file{directory.path() + "/scene.json", "board"};
    write_scene(file.path, R"({"content": {"a": 1}})");
    REQUIRE(file.edited());
    const std::string edit = R"({"content": {"a": 2}})";
    write_scene(file.path, edit);
    CHECK(file.replace(R"({"content": "from there"})") == std::errc::device_or_resource_busy);
    CHECK(scene_in(file.path) == edit);
    CHECK(file.edited());
    CHECK(file.scene->content == nlohmann::json{{"a", 2}});
    // A file that appears meanwhile is an edit, too, and so is a removal.
    std::filesystem::remove(file.path);
    CHECK_FALSE(file.edited());
    write_scene(file.path, edit);
    CHECK(file.replace(R"({"content": "from there"})"));
    CHECK(scene_in(file.path) == edit);
    CHECK(file.edited());
    std::filesystem::remove(file.path);
    CHECK(file.replace(R"({"content": "from there"})"));
    CHECK_FALSE(std::filesystem::exists(file.path));
    CHECK_FALSE(file.edited());
    CHECK_FALSE(file.replace(R"({"content": "from there"})"));
    CHECK(scene_in(file.path) == R"({"content": "from there"})");
}

TEST_CASE("The MCP bridge's file reports once that its file system cannot exchange files",
          "[mcp][mcp_bridge][fault]") {
    const TemporaryDirectory directory;
    const std::string content = R"({"content": {"a": 1}})";
    for (const int error : {EINVAL, ENOSYS, EACCES}) {
        SceneFile file{directory.path() + "/scene.json", "board"};
        write_scene(file.path, content);
        std::ostringstream said;
        std::streambuf* const before = std::cerr.rdbuf(said.rdbuf());
        rename_error = error;
        for (int i = 0; i < 2; ++i) {
            CHECK_FALSE(file.edited());
            CHECK(file.replace("{}").value() == error);
        }
        rename_error = 0;
        std::cerr.rdbuf(before);
        const std::string sentence =
            file.path +
            ": this file system cannot exchange two files in one step (renameat2); use a file on "
            "ext4, xfs, btrfs or tmpfs\n";
        CHECK(said.str() == (error == EACCES ? std::string{} : sentence));
        CHECK(scene_in(file.path) == content);
    }
}

TEST_CASE("The MCP bridge's file does not read a text with a NUL byte",
          "[mcp][mcp_bridge][fault]") {
    const TemporaryDirectory directory;
    SceneFile file{directory.path() + "/scene.json", "board"};
    const std::string content = R"({"content": {"a": 1}})" + std::string(1, '\0') + "more";
    write_scene(file.path, content);
    CHECK_FALSE(file.edited());
    CHECK_FALSE(file.readable);
    CHECK(scene_in(file.path) == content);
}

TEST_CASE("The MCP bridge's file follows the rules of a local side", "[mcp][mcp_bridge]") {
    const TemporaryDirectory directory;
    const auto open = [&] {
        auto file = std::make_unique<SceneFile>();
        file->path = directory.path() + "/scene.json";
        file->session = "check";
        file->edited();
        return file;
    };
    const auto broken = belay::check::local_side(
        open,
        [](std::uint32_t i) {
            return nlohmann::json{{"number", i}};
        },
        open);
    INFO((broken ? to_string(*broken) : ""));
    CHECK_FALSE(broken);
}

TEST_CASE("The MCP bridge exits cleanly without a server", "[mcp][mcp_bridge][integration]") {
    if (!McpServer::is_here()) return;
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/scene.json";
    auto server = std::make_unique<McpServer>();
    e2e::Process example{{beside_program(MCP_BRIDGE_BINARY), server->url(), file, "board"}};
    CHECK(example.prints("connected"));
    server->freeze();
    write_scene(file, R"({"content": {"a": 1}})");
    CHECK(e2e::eventually([&] { return scene_in(file).find("stamp") != std::string::npos; }));
    example.signal(SIGTERM);
    CHECK(example.wait() == 0);
    CHECK(example.text().ends_with("ended\n"));
}

TEST_CASE("The MCP bridge reports invalid arguments", "[mcp][mcp_bridge][integration]") {
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/scene.json";
    const auto refused = [](std::vector<std::string> words, const std::string& why) {
        words.insert(words.begin(), beside_program(MCP_BRIDGE_BINARY));
        e2e::Process example{std::move(words)};
        CHECK(example.wait() == 2);
        CHECK(example.text().find(why) != std::string::npos);
    };
    refused({}, "usage: ");
    refused({"http://127.0.0.1:1/mcp"}, "usage: ");
    refused({"ftp://127.0.0.1/mcp", file}, "usage: ");
    refused({"http://127.0.0.1:1/mcp", file, "board", "more"}, "usage: ");
    write_scene(file, "{half");
    refused({"http://127.0.0.1:1/mcp", file}, R"(must be JSON with a "content")");
    refused({"http://127.0.0.1:1/mcp", directory.path() + "/none/scene.json"},
            "the directory does not exist");
}
