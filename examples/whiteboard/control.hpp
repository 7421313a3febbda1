// SPDX-License-Identifier: MIT
// A socket for commands, in a folder that only its owner may use. Each command and each answer is
// one line.
#pragma once

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

/// Answers commands on two threads of its own. So a command may wait for a lock of the database
/// while the server continues. A long command, such as a backup, delays no other one. A client that
/// takes longer than 5 s to send its line, or to read the answer, is closed.
class Control {
    using Local = boost::asio::local::stream_protocol;

public:
    /// It is called on both threads of the Control.
    using Answer = std::function<std::string(const std::string& line)>;

    explicit Control(Answer answer) : answer_{std::move(answer)} {}
    Control(const Control&) = delete;
    Control& operator=(const Control&) = delete;
    ~Control() { close(); }

    /// Starts the threads.   Errors: address_in_use: another process listens there.
    /// Pre: it is called once.
    boost::system::error_code listen(const std::string& path) {
        boost::system::error_code error;
        if (path.size() >= sizeof(sockaddr_un::sun_path)) return boost::asio::error::name_too_long;
        if (!Local::socket{context_}.connect(Local::endpoint{path}, error))
            return boost::asio::error::address_in_use;
        // The socket of a server that was killed.
        ::unlink(path.c_str());
        error.clear();
        acceptor_.open(Local{}, error);
        const mode_t others = ::umask(0177);
        if (!error) acceptor_.bind(Local::endpoint{path}, error);
        ::umask(others);
        if (!error) acceptor_.listen(Local::acceptor::max_listen_connections, error);
        if (error) return error;
        path_ = path;
        accept();
        for (std::thread& thread : threads_) thread = std::thread{[this] { context_.run(); }};
        return error;
    }
    /// Ends the threads.   Blocks: until the commands that they run have ended.
    void close() {
        if (!threads_.front().joinable()) return;
        context_.stop();
        for (std::thread& thread : threads_) thread.join();
        ::unlink(path_.c_str());
    }

private:
    /// A client of one command. Its handlers run one after the other.
    class Client : public std::enable_shared_from_this<Client> {
    public:
        Client(Local::socket socket, const Answer& answer)
            : answer_{answer}, socket_{std::move(socket)}, limit_{socket_.get_executor()} {}

        void read() {
            limit();
            boost::asio::async_read_until(
                socket_, boost::asio::dynamic_buffer(line_, 8192), '\n',
                [self = shared_from_this()](const boost::system::error_code& error,
                                            std::size_t length) {
                    // The command itself may take as long as it needs.
                    self->limit_.cancel();
                    if (!error) self->write(self->line_.substr(0, length - 1));
                });
        }

    private:
        void write(const std::string& line) {
            line_ = answer_to(line) + "\n";
            limit();
            boost::asio::async_write(
                socket_, boost::asio::buffer(line_),
                [self = shared_from_this()](const boost::system::error_code&, std::size_t) {
                    self->limit_.cancel();
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
        void limit() {
            limit_.expires_after(std::chrono::seconds{5});
            limit_.async_wait(
                [self = shared_from_this()](const boost::system::error_code& stopped) {
                    boost::system::error_code ignored;
                    if (!stopped) self->socket_.close(ignored);
                });
        }

        const Answer& answer_;
        Local::socket socket_;
        boost::asio::steady_timer limit_;
        std::string line_;
    };

    void accept() {
        acceptor_.async_accept(
            boost::asio::make_strand(context_),
            [this](const boost::system::error_code& error, Local::socket socket) {
                if (error) return accept_later();
                std::make_shared<Client>(std::move(socket), answer_)->read();
                accept();
            });
    }
    /// The process may have no free descriptor; then the next try fails, too.
    void accept_later() {
        retry_.expires_after(std::chrono::milliseconds{100});
        retry_.async_wait([this](const boost::system::error_code&) { accept(); });
    }

    Answer answer_;
    std::string path_;
    boost::asio::io_context context_{2};
    Local::acceptor acceptor_{context_};
    boost::asio::steady_timer retry_{context_};
    std::array<std::thread, 2> threads_;
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
