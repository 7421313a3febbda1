// SPDX-License-Identifier: MIT
// A socket for commands, in a folder that only its owner may use. Each command and each answer is
// one line.
#pragma once

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

/// Answers one command after the other, on a thread of its own. So a command may wait for a lock of
/// the database while the server goes on. A client that takes longer than 5 s is closed.
class Control {
    using Local = boost::asio::local::stream_protocol;

public:
    /// It is called on the thread of the Control.
    using Answer = std::function<std::string(const std::string& line)>;

    explicit Control(Answer answer) : answer_{std::move(answer)} {}
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;
    ~Control() { close(); }

    /// Starts the thread.   Pre: it is called once, and no other process listens there.
    boost::system::error_code listen(const std::string& path) {
        boost::system::error_code error;
        // Of one that was killed.
        ::unlink(path.c_str());
        if (path.size() >= sizeof(sockaddr_un::sun_path)) return boost::asio::error::name_too_long;
        acceptor_.open(Local{}, error);
        const mode_t others = ::umask(0177);
        if (!error) acceptor_.bind(Local::endpoint{path}, error);
        ::umask(others);
        if (!error) acceptor_.listen(Local::acceptor::max_listen_connections, error);
        if (error) return error;
        path_ = path;
        accept();
        thread_ = std::thread{[this] { context_.run(); }};
        return error;
    }
    /// Ends the thread.   Blocks: until the command that it runs has ended.
    void close() {
        if (!thread_.joinable()) return;
        boost::asio::post(context_, [this] {
            boost::system::error_code ignored;
            acceptor_.close(ignored);
            socket_.close(ignored);
            limit_.cancel();
        });
        thread_.join();
        ::unlink(path_.c_str());
    }

private:
    void accept() {
        socket_ = Local::socket{context_};
        line_.clear();
        acceptor_.async_accept(socket_, [this](const boost::system::error_code& error) {
            if (!acceptor_.is_open()) return;
            if (error) return accept_later();
            limit();
            read();
        });
    }
    /// Closes a client that does not send its command, or read the answer, within 5 s.
    void limit() {
        limit_.expires_after(std::chrono::seconds{5});
        limit_.async_wait([this](const boost::system::error_code& stopped) {
            boost::system::error_code ignored;
            if (!stopped) socket_.close(ignored);
        });
    }
    /// The process may have no free descriptor; then the next try fails, too.
    void accept_later() {
        limit_.expires_after(std::chrono::milliseconds{100});
        limit_.async_wait([this](const boost::system::error_code&) {
            if (acceptor_.is_open()) accept();
        });
    }
    void read() {
        boost::asio::async_read_until(
            socket_, boost::asio::dynamic_buffer(line_, 8192), '\n',
            [this](const boost::system::error_code& error, std::size_t length) {
                if (!acceptor_.is_open()) return;
                if (error) return next();
                // The command itself may take as long as it needs.
                limit_.cancel();
                line_ = answer_to(line_.substr(0, length - 1)) + "\n";
                limit();
                boost::asio::async_write(
                    socket_, boost::asio::buffer(line_),
                    [this](const boost::system::error_code&, std::size_t) { next(); });
            });
    }
    /// A command that throws must not end the server.
    [[nodiscard]] std::string answer_to(const std::string& line) const {
        try {
            return answer_(line);
        } catch (const std::exception& error) {
            return error.what();
        }
    }
    void next() {
        limit_.cancel();
        if (acceptor_.is_open()) accept();
    }

    Answer answer_;
    std::string path_;
    boost::asio::io_context context_{1};
    Local::acceptor acceptor_{context_};
    Local::socket socket_{context_};
    boost::asio::steady_timer limit_{context_};
    std::string line_;
    std::thread thread_;
};

/// Sends a command.   Returns: the line of the answer; it is empty if there is an `error`.
inline std::string ask_control(const std::string& path, boost::system::error_code& error,
                               const std::string& line) {
    using Local = boost::asio::local::stream_protocol;
    boost::asio::io_context context;
    Local::socket socket{context};
    std::string answer;
    if (path.size() >= sizeof(sockaddr_un::sun_path)) error = boost::asio::error::name_too_long;
    if (!error) socket.connect(Local::endpoint{path}, error);
    if (!error) boost::asio::write(socket, boost::asio::buffer(line + "\n"), error);
    if (!error) boost::asio::read_until(socket, boost::asio::dynamic_buffer(answer), '\n', error);
    if (error) return {};
    return answer.substr(0, answer.find('\n'));
}
