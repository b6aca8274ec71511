FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 10001 durazzo
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY orchestrator orchestrator
COPY workers workers
COPY ops ops
COPY specs specs
RUN pip install --no-cache-dir -c constraints.txt .
USER durazzo
ENTRYPOINT ["durazzo"]
