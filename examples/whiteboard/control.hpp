// SPDX-License-Identifier: MIT
// A door beside that of the clients: a socket in a folder, for who may read that folder. A line
// asks, a line answers.
#pragma once

#include <boost/asio/connect.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

/// Answers one who asks, and then the next; who takes longer than 5 s is sent away.
class Control {
    using Local = boost::asio::local::stream_protocol;

public:
    using Answer = std::function<std::string(const std::string& line)>;

    Control(boost::asio::io_context& context, Answer answer)
        : context_{context}, answer_{std::move(answer)} {}

    /// Pre: no other process listens there.
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
        if (!error) path_ = path;
        if (!error) accept();
        return error;
    }
    /// No handler of it does anything after.
    void close() {
        boost::system::error_code ignored;
        acceptor_.close(ignored);
        socket_.close(ignored);
        limit_.cancel();
        if (!path_.empty()) ::unlink(std::exchange(path_, {}).c_str());
    }

private:
    void accept() {
        socket_ = Local::socket{context_};
        line_.clear();
        acceptor_.async_accept(socket_, [this](const boost::system::error_code& error) {
            if (!acceptor_.is_open()) return;
            if (error) return accept();
            limit_.expires_after(std::chrono::seconds{5});
            limit_.async_wait([this](const boost::system::error_code& stopped) {
                boost::system::error_code ignored;
                if (!stopped) socket_.close(ignored);
            });
            read();
        });
    }
    void read() {
        boost::asio::async_read_until(
            socket_, boost::asio::dynamic_buffer(line_, 1024), '\n',
            [this](const boost::system::error_code& error, std::size_t length) {
                if (!acceptor_.is_open()) return;
                if (error) return next();
                line_ = answer_(line_.substr(0, length - 1)) + "\n";
                boost::asio::async_write(
                    socket_, boost::asio::buffer(line_),
                    [this](const boost::system::error_code&, std::size_t) { next(); });
            });
    }
    void next() {
        limit_.cancel();
        if (acceptor_.is_open()) accept();
    }

    boost::asio::io_context& context_;
    Answer answer_;
    std::string path_;
    Local::acceptor acceptor_{context_};
    Local::socket socket_{context_};
    boost::asio::steady_timer limit_{context_};
    std::string line_;
};

/// Asks at such a door.   Returns: the line that was answered; empty if nobody did, with `error`.
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
