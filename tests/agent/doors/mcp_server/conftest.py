"""The MCP door on a real socket, in front of an agent whose model says what the test has written."""

from tests.agent.doors.rest.conftest import agent_saying, agent_with, door, log, log_path, model_folder, renderer, saver

__all__ = ["agent_saying", "agent_with", "door", "log", "log_path", "model_folder", "renderer", "saver"]
